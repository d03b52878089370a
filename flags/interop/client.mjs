// Evaluates flags in three independent ways, for the test beside it: through the
// official OpenFeature SDK with its OFREP provider against a running switchboard,
// with flagd's provider in-process on what the switchboard syncs, and by flagd's
// own evaluator on the same definitions.
//
// Reads {"url", "host", "port", "definitions", "cases": [{"flag", "type",
// "context"}]} on standard input and prints one JSON object a case.
import { readFileSync } from 'node:fs';
import { FlagdCore } from '@openfeature/flagd-core';
import { FlagdProvider } from '@openfeature/flagd-provider';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature } from '@openfeature/server-sdk';

const { url, host, port, definitions, cases } = JSON.parse(readFileSync(0, 'utf8'));
const silent = { error() {}, warn() {}, info() {}, debug() {} };
const core = new FlagdCore(undefined, silent);
core.setConfigurations(definitions);
OpenFeature.setLogger(silent);
await OpenFeature.setProviderAndWait('ofrep', new OFREPProvider({ baseUrl: url }));
await OpenFeature.setProviderAndWait('sync', new FlagdProvider({ host, port, resolverType: 'in-process', deadlineMs: 5000 }));
const asking = OpenFeature.getClient('ofrep');
const synced = OpenFeature.getClient('sync');

const defaults = { boolean: false, string: '(default)', number: -1, object: { default: true } };
const method = { boolean: 'Boolean', string: 'String', number: 'Number', object: 'Object' };
const brief = (r) => ({
  value: r.value, variant: r.variant ?? '', reason: r.reason, error: r.errorCode ?? '', version: r.flagMetadata?.version ?? '',
});

async function one({ flag, type, context }) {
  const evaluate = `get${method[type]}Details`;
  return {
    sdk: brief(await asking[evaluate](flag, defaults[type], context)),
    sync: brief(await synced[evaluate](flag, defaults[type], context)),
    core: brief(core[`resolve${method[type]}Evaluation`](flag, defaults[type], context)),
  };
}

const out = new Array(cases.length);
let next = 0;
await Promise.all(
  Array.from({ length: 16 }, async () => {
    while (next < cases.length) {
      const i = next++;
      out[i] = await one(cases[i]);
    }
  }),
);
process.stdout.write(out.map((o) => JSON.stringify(o)).join('\n') + '\n');
await OpenFeature.close();
