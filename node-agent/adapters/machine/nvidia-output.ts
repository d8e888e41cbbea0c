/**
 * Reads what `nvidia-smi` prints. Three of its outputs together tell everything: a table of the cards, a list that alone names the
 * instances of a card in MIG mode, and an XML report that alone says how much memory those have. Where a card doesn't answer,
 * words in brackets, or a sentence, stand in place of what was asked for.
 */
import { DEVICE_ID_LENGTH_MAX } from '../../../shared/domain/node.ts';
import type { FoundGpu } from '../../config/gpus.ts';

/** In this order; the last one is unknown to drivers from before there was MIG. */
export const CARD_FIELDS = ['index', 'uuid', 'name', 'memory.total', 'driver_version', 'mig.mode.current'] as const;

export interface Card extends FoundGpu {
  /** It is cut into instances, which are given to tasks in its place. */
  readonly isMig: boolean;
}

export interface CardTable {
  readonly cards: readonly Card[];
  /** Rows of cards that don't answer, and sentences, as they were printed. */
  readonly complaints: readonly string[];
}

/** As `--format=csv,noheader,nounits` prints {@link CARD_FIELDS}, with or without the last one. */
export function parseCards(output: string): CardTable {
  const cards: Card[] = [];
  const complaints: string[] = [];
  for (const line of linesOf(output)) {
    const card = parseCard(line.split(', '));
    if (card === null) complaints.push(line);
    else cards.push(card);
  }
  return { cards, complaints };
}

function parseCard([
  place = '',
  id = '',
  product = '',
  memory = '',
  driver = '',
  mig = '',
  ...more
]: string[]): Card | null {
  const memoryMiB = NOT_TOLD.test(memory) ? 0 : Number(memory);
  const isRow = more.length === 0 && /^\d+$/.test(place) && isCardId(id) && Number.isSafeInteger(memoryMiB);
  if (!isRow || memory === '' || memoryMiB < 0) return null;
  return {
    place,
    id,
    product: textOf(product),
    memoryMiB,
    driver: textOf(driver),
    parent: null,
    isMig: mig === 'Enabled',
  };
}

/** It has no memory of its own, or doesn't say; nothing is wrong with it. */
const NOT_TOLD = /^\[?(N\/A|Not Supported)\]?$/;

export interface Instance {
  /** The card's UUID. */
  readonly card: string;
  /** Its number on the card. */
  readonly number: string;
  readonly id: string;
  /** Such as `1g.10gb`. */
  readonly profile: string;
}

/** As `-L` lists them: a card's line, and below it, further in, those of its instances. */
export function parseInstances(output: string): Instance[] {
  const instances: Instance[] = [];
  let card = '';
  for (const line of linesOf(output)) {
    const [, cardId] = /^GPU \d+: .*\(UUID: ([^)]+)\)$/.exec(line) ?? [];
    if (cardId !== undefined) card = cardId;
    const [, profile, number, id] = /^MIG (\S+)\s+Device\s+(\d+): \(UUID: ([^)]+)\)$/.exec(line) ?? [];
    if (profile === undefined || number === undefined || id === undefined || !isInstanceId(id)) continue;
    instances.push({ card, number, id, profile });
  }
  return instances;
}

/** UUIDs of the cards that `-L` lists; one that is lost has a sentence in its place. */
export function parseCardIds(output: string): string[] {
  return linesOf(output).flatMap((line) => {
    const id = /^GPU \d+: .*\(UUID: ([^)]+)\)$/.exec(line)?.[1];
    return id !== undefined && isCardId(id) ? [id] : [];
  });
}

/** How much memory each instance has, by {@link instanceKey}, as `-q -x` reports it. */
export function parseInstanceMemory(xml: string): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const report of xml.split(/<gpu id=/).slice(1)) {
    const card = /<uuid>(GPU-[^<]+)<\/uuid>/.exec(report)?.[1] ?? '';
    for (const [, instance = ''] of report.matchAll(/<mig_device>(.*?)<\/mig_device>/gs)) {
      const number = /<index>(\d+)<\/index>/.exec(instance)?.[1] ?? '';
      const memory = /<fb_memory_usage>\s*<total>(\d+) MiB<\/total>/.exec(instance)?.[1];
      if (memory !== undefined) sizes.set(instanceKey({ card, number }), Number(memory));
    }
  }
  return sizes;
}

export function instanceKey({ card, number }: Pick<Instance, 'card' | 'number'>): string {
  return `${card}/${number}`;
}

/** What tasks can be given: whole cards, and instances in place of the cards that are cut into them. */
export function gpusOf(
  cards: readonly Card[],
  instances: readonly Instance[],
  memory: ReadonlyMap<string, number>,
): FoundGpu[] {
  return cards.flatMap(({ isMig, ...card }) => {
    if (!isMig) return [card];
    const { id: parent, driver } = card;
    return instances
      .filter((instance) => instance.card === parent)
      .map((instance) => ({
        id: instance.id,
        place: `${card.place}:${instance.number}`,
        product: `${card.product} MIG ${instance.profile}`,
        memoryMiB: memory.get(instanceKey(instance)) ?? 0,
        driver,
        parent,
      }));
  });
}

/** The first sentence of what it prints when it fails. */
export function firstSentence(output: string): string {
  return (linesOf(output)[0] ?? '').slice(0, SENTENCE_LENGTH_MAX);
}

const SENTENCE_LENGTH_MAX = 300;
const TEXT_LENGTH_MAX = 64;
/** Bounds what is read of an output that never ends. */
const LINES_MAX = 20_000;

function linesOf(output: string): string[] {
  return output
    .split('\n', LINES_MAX)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function textOf(value: string): string {
  return value.slice(0, TEXT_LENGTH_MAX);
}

function isCardId(id: string): boolean {
  return id.length <= DEVICE_ID_LENGTH_MAX && /^GPU-[0-9A-Za-z-]+$/.test(id);
}

/** Older drivers call one `MIG-GPU-<the card's>/1/0`. */
function isInstanceId(id: string): boolean {
  return id.length <= DEVICE_ID_LENGTH_MAX && /^MIG-[0-9A-Za-z/-]+$/.test(id);
}
