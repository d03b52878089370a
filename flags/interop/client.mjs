// Evaluates flags in two independent ways, for the test beside it: through the
// official OpenFeature SDK and OFREP provider against a running switchboard,
// and by flagd's own in-process evaluator on the same definitions.
//
// Reads {"url", "definitions", "cases": [{"flag", "type", "context"}]} on
// standard input and prints one JSON object a case.
import { readFileSync } from 'node:fs';
import { FlagdCore } from '@openfeature/flagd-core';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature } from '@openfeature/server-sdk';

const { url, definitions, cases } = JSON.parse(readFileSync(0, 'utf8'));
const silent = { error() {}, warn() {}, info() {}, debug() {} };
const core = new FlagdCore(undefined, silent);
core.setConfigurations(definitions);
OpenFeature.setLogger(silent);
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: url }));
const client = OpenFeature.getClient();

const defaults = { boolean: false, string: '(default)', number: -1, object: { default: true } };
const method = { boolean: 'Boolean', string: 'String', number: 'Number', object: 'Object' };
const brief = (r) => ({ value: r.value, variant: r.variant ?? '', reason: r.reason, error: r.errorCode ?? '' });

async function one({ flag, type, context }) {
  const remote = await client[`get${method[type]}Details`](flag, defaults[type], context);
  const local = core[`resolve${method[type]}Evaluation`](flag, defaults[type], context);
  return { sdk: brief(remote), core: brief(local), version: remote.flagMetadata?.version ?? '' };
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
