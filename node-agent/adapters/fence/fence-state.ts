/**
 * What the agent tells the dead-man, and the next agent: one small file that is replaced as a whole. Lines of words, so that a shell
 * can read it:
 *
 *     boot <the machine's boot id>     anything else belongs to a machine that has been off since, and so does nothing of it run
 *     life <id>                        of the folder: one that was made anew, in the same place too, has another
 *     agent <process id>
 *     keeper <process id>              the dead-man in charge; 0: none
 *     confirmed <ms>                   when the last confirmed heartbeat was sent, since the machine started
 *     stop <ms> <container id>         it may run for so long after that; one line each
 *     end
 */

export interface FenceState {
  readonly bootId: string;
  readonly life: string;
  readonly agent: number;
  readonly keeper: number;
  /** Null: none since the machine started. */
  readonly confirmedAtMs: number | null;
  /** By container id, in milliseconds. */
  readonly armed: ReadonlyMap<string, number>;
}

/** Stands for "never": any deadline has passed. */
const NEVER_MS = -1e14;

/** As engines spell them, and never so short that one could be part of another name. */
export const CONTAINER_ID_PATTERN = /^[A-Za-z0-9_.-]{12,128}$/;

export function encodeFenceState({ bootId, life, agent, keeper, confirmedAtMs, armed }: FenceState): string {
  const stops = [...armed].map(([container, stopAfterMs]) => `stop ${Math.round(stopAfterMs)} ${container}`);
  const confirmed = `confirmed ${Math.round(confirmedAtMs ?? NEVER_MS)}`;
  return [`boot ${bootId}`, `life ${life}`, `agent ${agent}`, `keeper ${keeper}`, confirmed, ...stops, 'end', ''].join(
    '\n',
  );
}

/** Null: it isn't whole. */
export function decodeFenceState(text: string): FenceState | null {
  const lines = text.split('\n').map((line) => line.split(' '));
  const wordAfter = (word: string) => lines.find(([first]) => first === word)?.[1] ?? '';
  const confirmedAtMs = Number(wordAfter('confirmed'));
  const armed = lines.flatMap(([word, ms, container]) => {
    const isWhole = word === 'stop' && container !== undefined && CONTAINER_ID_PATTERN.test(container);
    return isWhole ? [[container, Number(ms)] as const] : [];
  });
  const state = {
    bootId: wordAfter('boot'),
    life: wordAfter('life'),
    agent: Number(wordAfter('agent')),
    keeper: Number(wordAfter('keeper')),
    confirmedAtMs: confirmedAtMs === NEVER_MS ? null : confirmedAtMs,
    armed: new Map(armed),
  };
  const numbers = [state.agent, state.keeper, confirmedAtMs, ...state.armed.values()];
  return lines.some(([word]) => word === 'end') && numbers.every(Number.isFinite) ? state : null;
}
