/** Colours, where they are wanted at all. */
import type { Output } from '../io.ts';

export type Colour = 'red' | 'green' | 'yellow' | 'blue' | 'magenta' | 'cyan' | 'dim' | 'bold' | 'plain';

export type Paint = (colour: Colour, text: string) => string;

const CODES: Readonly<Record<Exclude<Colour, 'plain'>, readonly [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
};

/** Colours only on a terminal, unless they are unwanted: `--no-color`, or NO_COLOR (https://no-color.org). */
export function wantsColour(
  output: Output,
  env: Readonly<Record<string, string | undefined>>,
  flag: boolean | undefined,
): boolean {
  if (flag === false || !output.isTerminal) return false;
  return (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

export function painter(enabled: boolean): Paint {
  return (colour, text) => {
    if (!enabled || colour === 'plain' || text === '') return text;
    const [on, off] = CODES[colour];
    return `\u001b[${on}m${text}\u001b[${off}m`;
  };
}

/** The colour of a state of a job, task or node. */
export function stateColour(state: string): Colour {
  switch (state) {
    case 'running':
    case 'ready':
    case 'connected':
    case 'finished':
    case 'succeeded':
    case 'healthy':
      return 'green';
    case 'pending':
    case 'staging':
    case 'starting':
    case 'stopping':
    case 'draining':
    case 'ending':
    case 'ineligible':
    case 'maintenance':
    case 'waiting':
    case 'paused':
    case 'suspended':
    case 'awaiting-promotion':
    case 'not ready':
    case 'unready':
      return 'yellow';
    case 'failed':
    case 'error':
    case 'lost':
    case 'unreachable':
    case 'disconnected':
    case 'ahead':
    case 'unhealthy':
      return 'red';
    case 'held':
      return 'cyan';
    case 'killed':
    case 'ended':
    case 'stopped':
    case 'cancelled':
    case 'drained':
      return 'magenta';
    default:
      return 'plain';
  }
}
