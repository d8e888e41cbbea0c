/** Prints the first token of a cluster that only the edge entry serves: node infra/edge/token.ts --etcd http://127.0.0.1:2379 --days 1 */
import { parseArgs } from 'node:util';
import { firstToken } from './first-token.ts';

const DAY_SECONDS = 24 * 3600;
const DAYS_MAX = 365;

const { etcd, days } = parseArgs({
  options: {
    etcd: { type: 'string', multiple: true, default: ['http://127.0.0.1:2379'] },
    days: { type: 'string', default: '1' },
  },
}).values;

if (Number(days) >= 1 && Number(days) <= DAYS_MAX) {
  process.stdout.write(`${await firstToken(etcd, Number(days) * DAY_SECONDS)}\n`);
} else {
  process.stderr.write(`--days "${days}" is not a number from 1 to ${DAYS_MAX}\n`);
  process.exitCode = 1;
}
