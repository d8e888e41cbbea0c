/** What GPUs the machine has, as NVIDIA's driver tells through its own program. Cards of other makers aren't looked for. */
import type { Clock } from '../../../shared/util/clock.ts';
import type { GpuReport } from '../../config/gpus.ts';
import {
  CARD_FIELDS,
  type Card,
  type CardTable,
  firstSentence,
  gpusOf,
  parseCardIds,
  parseCards,
  parseInstanceMemory,
  parseInstances,
} from './nvidia-output.ts';
import { type ProgramResult, runProgram } from './run-program.ts';

/** The driver may have to wake each card up for an answer. */
const NVIDIA_SMI_TIMEOUT_MS = 20_000;

/** Asks `nvidia-smi`; tests hand in what it printed. */
export type AskDriver = (...args: readonly string[]) => Promise<ProgramResult>;

export function nvidiaSmi(clock: Clock, timeoutMs = NVIDIA_SMI_TIMEOUT_MS): AskDriver {
  return (...args) => runProgram({ program: 'nvidia-smi', args, timeoutMs, clock });
}

export async function detectGpus(ask: AskDriver): Promise<GpuReport> {
  const answer = await askForCards(ask);
  if (answer.type === 'missing') return { type: 'absent' };
  if (answer.type === 'failed') return { type: 'failed', why: `nvidia-smi: ${answer.why}` };
  const table = parseCards(answer.output);
  if (answer.exitCode !== 0 && table.cards.length === 0 && !NO_DEVICES.test(answer.output)) {
    const left = await cardsLeft(ask, answer.output);
    if (left.length > 0) return withInstances(ask, { cards: left, complaints: [firstSentence(answer.output)] });
    const words = firstSentence(answer.output) || `it ended with the exit code ${answer.exitCode}`;
    return { type: 'failed', why: `nvidia-smi: ${words}` };
  }
  return withInstances(ask, table);
}

/** Some drivers give no table at all where one card is lost, but answer for each of the others by itself. */
async function cardsLeft(ask: AskDriver, words: string): Promise<readonly Card[]> {
  if (!LOST_CARD.test(words)) return [];
  const cards: Card[] = [];
  for (const id of parseCardIds(outputOf(await ask('-L'))).slice(0, CARDS_MAX)) {
    cards.push(...parseCards(outputOf(await ask(`--id=${id}`, ...cardQuery(CARD_FIELDS)))).cards);
  }
  return cards;
}

const LOST_CARD = /unable to determine the device handle|gpu is lost/i;
/** Of one machine; each is asked for by itself. */
const CARDS_MAX = 64;

const NO_DEVICES = /no devices were found/i;

async function askForCards(ask: AskDriver): Promise<ProgramResult> {
  const answer = await ask(...cardQuery(CARD_FIELDS));
  const isOld = answer.type === 'ended' && /"mig\.mode\.current" is not a valid field/.test(answer.output);
  return isOld ? ask(...cardQuery(CARD_FIELDS.slice(0, -1))) : answer;
}

function cardQuery(fields: readonly string[]): string[] {
  return [`--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits'];
}

/** The long report is asked for only where it is needed: it takes the driver a while. */
async function withInstances(ask: AskDriver, { cards, complaints }: CardTable): Promise<GpuReport> {
  const cut = cards.filter(({ isMig }) => isMig);
  if (cut.length === 0) return { type: 'found', gpus: gpusOf(cards, [], new Map()), complaints };
  const [list, report] = [await ask('-L'), await ask('-q', '-x')];
  const instances = parseInstances(outputOf(list));
  return {
    type: 'found',
    gpus: gpusOf(cards, instances, parseInstanceMemory(outputOf(report))),
    complaints: [
      ...complaints,
      ...[list, report].flatMap((answer) => (answer.type === 'failed' ? [answer.why] : [])),
      ...cut.filter(({ id }) => !instances.some(({ card }) => card === id)).map(describeEmpty),
    ],
  };
}

function outputOf(answer: ProgramResult): string {
  return answer.type === 'ended' ? answer.output : '';
}

function describeEmpty({ place, id }: Card): string {
  return `GPU ${place} (${id}) is in MIG mode and has no instances, so there is nothing of it to give to tasks`;
}
