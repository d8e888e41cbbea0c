/** The agent as it is shipped: one file, which sets its own flags. `infra/bundle` makes it. */
export const AGENT_BUNDLE = 'dist/berth-agent.cjs';
