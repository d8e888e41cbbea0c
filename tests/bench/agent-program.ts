/** The agent as it is shipped: the bundle, and what Node.js is to be started with for it. */
import { NODE_FLAGS } from '../../infra/bundle/agent.ts';

export const AGENT_BUNDLE = 'dist/berth-agent.cjs';
export const AGENT_PROGRAM: readonly string[] = [...NODE_FLAGS, AGENT_BUNDLE];
