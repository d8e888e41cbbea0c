/**
 * Where each signing key stands. Pure. A key's life: it is made and published; it signs, once it has been published for so long that
 * whoever verifies tokens has it; it verifies what it signed until that has expired; it goes. One that is in the wrong hands is
 * retired at once, with all that it has signed.
 */
import { byText } from '../../shared/util/order.ts';
import type { KeyStateRecord } from '../store/record-types.ts';

export type KeyStates = ReadonlyMap<string, KeyStateRecord>;

export interface KeyTimes {
  readonly kid: string;
  readonly signsFromMs: number;
  readonly isRevoked: boolean;
}

/** Of a key that has no state, since an earlier version made it: from its beginning on. One that isn't known at all never signs. */
export function keyTimesOf(kid: string, state: KeyStateRecord | undefined, createdAtMs = Number.NaN): KeyTimes {
  if (state === undefined) return { kid, signsFromMs: createdAtMs, isRevoked: false };
  return { kid, signsFromMs: state.signsFromMs, isRevoked: state.revoked !== null };
}

/**
 * The key to sign with; null: there is none. All replicas come to the same one. Where the clock says that the time of none has come, it is
 * behind that of whoever made the first, and that one signs.
 */
export function signingKid(keys: readonly KeyTimes[], nowMs: number): string | null {
  const byTime = keys
    .filter(({ signsFromMs, isRevoked }) => !isRevoked && !Number.isNaN(signsFromMs))
    .sort((a, b) => b.signsFromMs - a.signsFromMs || byText(b.kid, a.kid));
  const latest = byTime.find(({ signsFromMs }) => signsFromMs <= nowMs) ?? byTime.at(-1);
  return latest?.kid ?? null;
}

export const KEY_STANDINGS = ['next', 'signing', 'verifying', 'retired'] as const;
export type KeyStanding = (typeof KEY_STANDINGS)[number];

export function standingOf(kid: string, states: KeyStates, nowMs: number): KeyStanding {
  const times = [...states.values()].map((state) => keyTimesOf(state.kid, state));
  const own = times.find((one) => one.kid === kid);
  if (own === undefined || own.isRevoked) return 'retired';
  if (signingKid(times, nowMs) === kid) return 'signing';
  return own.signsFromMs > nowMs ? 'next' : 'verifying';
}

/** The one of that standing; undefined: there is none. Of several that wait for their turn, the first. */
export function keyThat(standing: 'next' | 'signing', states: KeyStates, nowMs: number): KeyStateRecord | undefined {
  const found = [...states.values()].filter(({ kid }) => standingOf(kid, states, nowMs) === standing);
  return found.sort((a, b) => a.signsFromMs - b.signsFromMs || byText(a.kid, b.kid))[0];
}

/** Whether the key that signs has done so for longer than that, and none waits to take its place. */
export function isRotationDue(states: KeyStates, nowMs: number, rotateAfterMs: number): boolean {
  const signing = keyThat('signing', states, nowMs);
  if (signing === undefined || keyThat('next', states, nowMs) !== undefined) return false;
  return nowMs - signing.signsFromMs >= rotateAfterMs;
}

/** Those that have signed nothing that still lives. */
export function spentKeys(states: KeyStates, nowMs: number): KeyStateRecord[] {
  return [...states.values()]
    .filter(({ verifiesUntilMs }) => verifiesUntilMs !== null && verifiesUntilMs <= nowMs)
    .sort((a, b) => byText(a.kid, b.kid));
}
