/**
 * Gets what a task is to be given in confidence, just before it is started. The control plane is asked each time, so that every run gets
 * what is set by then; where it is away, a further run gets what the one before had, which is kept in memory for as long as the task
 * has its place. What it says is never logged, and never in the journal.
 */
import type { AssignedTask, TaskSecretsResponse } from '../../shared/protocol/agent.ts';
import { ending } from '../core/ending.ts';
import type { Ending } from '../core/model.ts';
import { type GivenSecrets, givenSecrets, secretFiles } from '../core/secrets.ts';
import { ControlPlaneFault, type TaskFiles } from './contracts.ts';

/** Of the folder with a task's secrets, among those that it has in the node's memory. */
const FOLDER = 'secrets';

export interface SecretSource {
  /** Absent: the node keeps no files in memory. */
  readonly files: TaskFiles | undefined;
  /** Throws a {@link ControlPlaneFault}. */
  readonly ask: () => Promise<TaskSecretsResponse>;
  readonly isAlone: () => boolean;
}

export type SecretsResult =
  | { readonly type: 'given'; readonly secrets: GivenSecrets | null }
  | { readonly type: 'ended'; readonly ending: Ending }
  | { readonly type: 'postponed'; readonly why: string };

const NONE: SecretsResult = { type: 'given', secrets: null };

/** Throws a TaskFilesFault where the node's memory can't be written. */
export async function secretsFor(assigned: AssignedTask, source: SecretSource): Promise<SecretsResult> {
  if ((assigned.group.secrets ?? []).length === 0) return NONE;
  const { files } = source;
  if (files === undefined) return ended('refused-by-node', 'the node keeps no files in memory, which secrets take');
  if (files.refusal !== null) return ended('refused-by-node', files.refusal);
  const told = await tell(source);
  if (told.type !== 'told') {
    const kept = told.type === 'away' ? await keptSecrets(assigned, files) : null;
    if (kept !== null) return { type: 'given', secrets: kept };
    return { type: 'postponed', why: `its secrets can't be had: ${told.why}` };
  }
  const wanted = secretFiles(assigned, told.response);
  if (typeof wanted === 'string') return ended('secret-unavailable', wanted);
  const folder = await files.write(assigned.id, FOLDER, wanted);
  return { type: 'given', secrets: givenSecrets(assigned.group, folder, wanted) };
}

type Told =
  | { readonly type: 'told'; readonly response: TaskSecretsResponse }
  | { readonly type: 'away' | 'refused'; readonly why: string };

async function tell({ ask, isAlone }: SecretSource): Promise<Told> {
  if (isAlone()) return { type: 'away', why: 'the control plane can not be asked' };
  try {
    return { type: 'told', response: await ask() };
  } catch (cause) {
    if (!(cause instanceof ControlPlaneFault)) throw cause;
    return { type: cause.kind === 'away' ? 'away' : 'refused', why: cause.message };
  }
}

async function keptSecrets(assigned: AssignedTask, files: TaskFiles): Promise<GivenSecrets | null> {
  const kept = await files.read(assigned.id, FOLDER);
  return kept === null ? null : givenSecrets(assigned.group, kept.folder, kept.files);
}

function ended(reason: 'refused-by-node' | 'secret-unavailable', message: string): SecretsResult {
  return { type: 'ended', ending: ending('error', reason, message) };
}
