/**
 * Which endpoint a backend's servers stand for. haproxy gets more servers than there are endpoints, called `s1`, `s2`, …, and those
 * that stand for nothing are switched off: so a task comes and goes by a command to the running process, within
 * milliseconds, and a reload is needed only when the slots run out.
 */
import type { EndpointState, ServedEndpoint } from './served-endpoint.ts';

/** `use`: gets requests. `drain`: finishes what it has. `off`: gets nothing; what is under way goes on. */
export type SlotUse = 'use' | 'drain' | 'off';

export interface Slot {
  /** Null: it stands for nothing. */
  readonly endpoint: string | null;
  /** An IP address. */
  readonly address: string;
  readonly port: number;
  readonly use: SlotUse;
  /** When it last came to stand for nothing; 0: it never stood for anything. */
  readonly freedMs: number;
}

export const EMPTY_SLOT: Slot = { endpoint: null, address: '127.0.0.1', port: 1, use: 'off', freedMs: 0 };

export const SLOTS_MIN = 8;
/** haproxy's algorithms take 4095 servers; a service of more has the rest left out. */
export const SLOTS_MAX = 4095;

/** The slots after the endpoints have become these, in which an endpoint keeps its place for as long as it is there. */
export function nextSlots(
  before: readonly Slot[],
  endpoints: readonly ServedEndpoint[],
  nowMs: number,
): readonly Slot[] {
  const usable = new Map(usesOf(endpoints));
  const byId = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]));
  const slots = before.map((slot): Slot => {
    if (slot.endpoint === null) return slot;
    const endpoint = byId.get(slot.endpoint);
    if (endpoint === undefined) return { ...slot, endpoint: null, use: 'off', freedMs: nowMs };
    return { ...slot, address: endpoint.address, port: endpoint.port, use: usable.get(endpoint.id) ?? 'off' };
  });
  const placed = new Set(slots.map(({ endpoint }) => endpoint));
  const waiting = endpoints.filter(({ id }) => usable.has(id) && !placed.has(id));
  const free = slots.filter(({ endpoint }) => endpoint === null).length;
  if (slots.length === 0 || free < waiting.length) {
    const size = slotCount(slots.length - free + waiting.length);
    slots.push(...Array.from({ length: size - slots.length }, () => EMPTY_SLOT));
  }
  const places = freePlaces(slots);
  for (const [index, { id, address, port }] of waiting.entries()) {
    const place = places[index];
    if (place !== undefined) slots[place] = { endpoint: id, address, port, use: usable.get(id) ?? 'off', freedMs: 0 };
  }
  return slots;
}

/** Twice what is needed, rounded up to a power of two: a rollout of the whole service at once still fits. */
function slotCount(needed: number): number {
  return Math.min(SLOTS_MAX, Math.max(SLOTS_MIN, 2 ** Math.ceil(Math.log2(needed * 2))));
}

/** Those that have stood for nothing for longest come first: what was sent to the one before is over by then. */
function freePlaces(slots: readonly Slot[]): readonly number[] {
  return [...slots.keys()]
    .filter((index) => slots[index]?.endpoint === null)
    .sort((a, b) => (slots[a]?.freedMs ?? 0) - (slots[b]?.freedMs ?? 0) || a - b);
}

/**
 * Ready endpoints get the requests. Those that are about to end, and those whose node has not been heard of, get new ones only where
 * there is no ready one: some of them still answer, and nothing else does.
 */
function usesOf(endpoints: readonly ServedEndpoint[]): readonly (readonly [string, SlotUse])[] {
  const anyReady = endpoints.some(({ state }) => state === 'ready');
  return endpoints.flatMap(({ id, state }) => {
    const use = useOf(state, anyReady);
    return use === 'off' ? [] : [[id, use] as const];
  });
}

function useOf(state: EndpointState, anyReady: boolean): SlotUse {
  switch (state) {
    case 'ready':
      return 'use';
    case 'draining':
    case 'unreachable':
      return anyReady ? 'drain' : 'use';
    case 'starting':
    case 'unhealthy':
    case 'unready':
    case 'held':
      return 'off';
  }
}
