// Waits for changes of one flag with two official clients, for the test beside
// it: flagd's provider in-process, which gets the definitions synced, and the
// OFREP provider for browsers, which listens to the event stream and asks again.
//
// Takes URL HOST PORT FLAG and prints {"client", "value"} once both are ready and
// again whenever a client's value changes, until its standard input ends.
import { FlagdProvider } from '@openfeature/flagd-provider';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature as Server, ServerProviderEvents } from '@openfeature/server-sdk';
import { OpenFeature as Web, ProviderEvents } from '@openfeature/web-sdk';
import { EventSource } from 'eventsource';

globalThis.EventSource = EventSource; // browsers have it
const [url, host, port, flag] = process.argv.slice(2);
const silent = { error() {}, warn() {}, info() {}, debug() {} };
Server.setLogger(silent);
Web.setLogger(silent);
const tell = (client, value) => process.stdout.write(JSON.stringify({ client, value }) + '\n');

await Server.setProviderAndWait(new FlagdProvider({ host, port: Number(port), resolverType: 'in-process', deadlineMs: 5000 }));
await Web.setProviderAndWait(new OFREPWebProvider({ baseUrl: url, pollInterval: 0 }), { targetingKey: 'u' });
const server = Server.getClient();
const web = Web.getClient();
const sync = async () => tell('sync', await server.getStringValue(flag, '(default)', { targetingKey: 'u' }));
const events = () => tell('events', web.getStringValue(flag, '(default)'));
server.addHandler(ServerProviderEvents.ConfigurationChanged, sync);
web.addHandler(ProviderEvents.ConfigurationChanged, events);
await sync();
events();
process.stdin.on('end', () => process.exit(0)).resume();
