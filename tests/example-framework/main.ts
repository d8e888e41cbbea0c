/** The example as a program: see the README beside it. Says what it does on stdout, a line of JSON each. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { CryptoRandom } from '../../control-plane/adapters/random/crypto-random.ts';
import { createClient } from '../../shared/client/client.ts';
import { ApiError, UnreachableError } from '../../shared/client/errors.ts';
import { sleep } from '../../shared/util/clock.ts';
import { KeepRunning, type Wish } from './keep-running.ts';

const AWAY_MS = 1000;

const { values } = parseArgs({
  options: {
    address: { type: 'string', default: 'http://127.0.0.1:7878' },
    'token-file': { type: 'string' },
    state: { type: 'string' },
    name: { type: 'string', default: 'painter' },
    role: { type: 'string', default: 'default' },
    count: { type: 'string', default: '1' },
    image: { type: 'string', default: 'berth/busybox:local' },
    command: { type: 'string', default: 'sleep 1000000' },
    cpus: { type: 'string', default: '0.1' },
    'mem-mib': { type: 'string', default: '16' },
    'failover-timeout': { type: 'string', default: '60' },
  },
});

function say(what: string, more: object = {}): void {
  process.stdout.write(`${JSON.stringify({ what, ...more })}\n`);
}

function wishOf(): Wish {
  const { name, role, image, command, count, cpus } = values;
  const numbers = { count: Number(count), cpus: Number(cpus), memMiB: Number(values['mem-mib']) };
  const failoverTimeoutSeconds = Number(values['failover-timeout']);
  return { name, role, image, command: ['sh', '-c', `exec ${command}`], ...numbers, failoverTimeoutSeconds };
}

const clock = new SystemClock();
const [address = '', ...otherAddresses] = values.address.split(',');
const tokenFile = values['token-file'];
const client = createClient({
  address,
  otherAddresses,
  token: tokenFile === undefined ? (process.env['BERTH_TOKEN'] ?? null) : readFileSync(tokenFile, 'utf8').trim(),
  fetch: globalThis.fetch,
  clock,
  random: new CryptoRandom(),
});

function rememberedId(): string | null {
  const { state } = values;
  if (state === undefined || !existsSync(state)) return null;
  return (JSON.parse(readFileSync(state, 'utf8')) as { id: string }).id;
}

/** One that was torn down meanwhile is begun anew. */
async function begin(): Promise<KeepRunning> {
  const wish = wishOf();
  try {
    return await KeepRunning.begin(client, wish, rememberedId());
  } catch (error) {
    const isOver = error instanceof ApiError && ['framework-gone', 'not-found'].includes(error.code);
    if (!isOver) throw error;
    say('begun anew', { because: error.message });
    return KeepRunning.begin(client, wish);
  }
}

const ending = new AbortController();
const example = await begin();
const { id, session } = example.session;
if (values.state !== undefined) writeFileSync(values.state, JSON.stringify({ id }));
say('subscribed', { id, session });
process.once('SIGTERM', () => ending.abort());
process.once('SIGINT', () => {
  ending.abort();
  void example.session.tearDown('interrupted');
});

for (;;) {
  try {
    say(await example.run(ending.signal));
    break;
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    say('away', { because: error.message });
    await sleep(clock, AWAY_MS, ending.signal);
  }
}
