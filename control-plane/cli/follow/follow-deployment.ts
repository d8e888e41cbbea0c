/** Stays with a deployment until it is over: tells how far it is, and how it came out. */
import { ApiError, UnreachableError } from '../../../shared/client/errors.ts';
import type { JobKey } from '../../../shared/domain/ids.ts';
import type { DeploymentView } from '../../../shared/protocol/deployments.ts';
import { EXIT } from '../exit.ts';
import { deploymentProgress } from '../output/service-shapes.ts';
import { printable } from '../output/text.ts';
import type { Session } from '../session.ts';
import { earlierThan, progressLines } from './progress.ts';
import { type JobSnapshot, watchJob } from './watch-job.ts';

const OVER: readonly DeploymentView['state'][] = ['succeeded', 'failed', 'cancelled'];

/** Follows it to its verdict, which is the exit code. Interrupting leaves it to go on. */
export async function followDeployment(session: Session, key: JobKey, id: string): Promise<number> {
  const leave = new AbortController();
  const restore = session.io.onInterruption(() => leave.abort());
  try {
    const verdict = await watchToItsEnd(session, key, id, leave.signal);
    if (verdict !== null) return tellVerdict(session, verdict);
    session.printer.note(`Deployment ${id} goes on without this command.`);
    return EXIT.interrupted;
  } finally {
    restore();
  }
}

/** Null: the signal was aborted before. */
async function watchToItsEnd(
  session: Session,
  key: JobKey,
  id: string,
  signal: AbortSignal,
): Promise<DeploymentView | null> {
  const { client, printer, io } = session;
  let told = '';
  let before: JobSnapshot | null = null;
  for await (const snapshot of watchJob({ client, clock: io.clock, note: printer.note }, key, signal)) {
    const deployment = await readIfReached(client.deployments.get(id));
    if (deployment === null) continue;
    before ??= earlierThan(snapshot, deployment.createdAt);
    for (const line of progressLines(before, snapshot, printer.paintNote)) printer.note(line);
    before = snapshot;
    if (OVER.includes(deployment.state)) return deployment;
    const text = `deployment ${id} ${deploymentProgress(deployment)}${remedyOf(deployment)}`;
    if (text !== told) printer.note(text);
    told = text;
  }
  return null;
}

/** What the job's reading has just got over may come back a moment later: the next look tells. */
async function readIfReached(reading: Promise<DeploymentView>): Promise<DeploymentView | null> {
  return reading.catch((error: unknown) => {
    if (error instanceof UnreachableError || (error instanceof ApiError && error.code === 'unavailable')) return null;
    throw error;
  });
}

function remedyOf({ id, state }: DeploymentView): string {
  if (state === 'awaiting-promotion') return `; \`berth deployment promote ${id}\` lets the rest follow`;
  return state === 'paused' ? `; \`berth deployment resume ${id}\` lets it go on` : '';
}

async function tellVerdict({ client, printer }: Session, deployment: DeploymentView): Promise<number> {
  const { id, state, message, toVersion, revertedBy } = deployment;
  if (state === 'succeeded') {
    printer.note(`deployment ${id} ${printer.paintNote('green', state)}: version ${toVersion} is rolled out`);
    return EXIT.ok;
  }
  printer.note(`deployment ${id} ${printer.paintNote('red', state)}: ${printable(message)}`);
  if (revertedBy !== null) {
    const next = await readIfReached(client.deployments.get(revertedBy));
    const version = next === null ? 'an earlier version again' : `version ${next.toVersion}`;
    printer.note(`It is taken back: deployment ${revertedBy} rolls out ${version}.`);
  }
  return EXIT.failed;
}
