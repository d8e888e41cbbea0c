/** What the containers of the workload do: they write down that they run, in a file that belongs to nobody in the cluster. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WitnessLine } from '../history.ts';

const WITNESS_TARGET = '/witness';
const FILE = 'lines';
/** Between two signs of life, in tenths of a second; also how late a signal to end is noticed. */
const BEAT_TENTHS = 5;

/** One short line each, which the kernel appends whole. The time is the machine's: seconds since it was started. */
const SAY = `say() {
  read up idle </proc/uptime
  echo "$1 $BERTH_TASK_ID $BERTH_NODE $(hostname) $up $2" >>${WITNESS_TARGET}/${FILE}
}`;

export interface Behaviour {
  readonly seconds: number;
  readonly exitCode: number;
  /** Ends at once when it is asked to; otherwise it has to be killed. */
  readonly obeys: boolean;
}

export function commandOf({ seconds, exitCode, obeys }: Behaviour): string[] {
  const trap = obeys ? `trap 'say end 143; exit 143' TERM` : `trap '' TERM`;
  const beats = Math.round((seconds * 10) / BEAT_TENTHS);
  const life = `beat=0
while [ $beat -lt ${beats} ]; do
  sleep 0.${BEAT_TENTHS}
  say alive -
  beat=$((beat + 1))
done`;
  return ['sh', '-c', [SAY, trap, 'say start -', life, `say end ${exitCode}`, `exit ${exitCode}`].join('\n')];
}

export function witnessMount(folder: string) {
  return { type: 'bind' as const, source: folder, target: WITNESS_TARGET };
}

export function readWitness(folder: string): WitnessLine[] {
  const path = join(folder, FILE);
  return existsSync(path) ? parseWitness(readFileSync(path, 'utf8')) : [];
}

/** Throws on a line that no container of ours can have written: a witness that can't be read proves nothing. */
export function parseWitness(text: string): WitnessLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const match = /^(start|alive|end) (\S+) (\S+) (\S+) (\d+\.\d+) (\d+|-)$/.exec(line);
      const [, type, task, node, container, seconds, exitCode] = match ?? [];
      if (type === undefined || task === undefined || node === undefined || container === undefined) {
        throw new Error(`the witness holds a line that can't be read: ${line}`);
      }
      return {
        ...{ type: type === 'start' || type === 'end' ? type : 'alive', task, node, container },
        atMs: Math.round(Number(seconds) * 1000),
        exitCode: exitCode === '-' ? null : Number(exitCode),
      };
    });
}
