/**
 * Starts one task: on record first, then consent, image, container. The record has to be durable before what takes long (a pull),
 * and another one before the engine is asked to start anything: from there on nobody but the engine knows. Every way in which it can't be started ends in a
 * status that says why; only faults of the engine itself are thrown, and then nothing is decided yet.
 */

import type { VolumeId } from '../../shared/domain/ids.ts';
import { volumesOf } from '../../shared/domain/job.ts';
import type { NodeConsent } from '../../shared/domain/node.ts';
import type { AssignedTask } from '../../shared/protocol/agent.ts';
import { bindSources, type ResolvedPaths, refusalOf } from '../core/consent.ts';
import { ending, neverStartedEnding } from '../core/ending.ts';
import type { GivenIdentity } from '../core/identity.ts';
import type { Container, Ending } from '../core/model.ts';
import { type GivenSecrets, withoutSecrets } from '../core/secrets.ts';
import { type PullResult, type RunResult, type Runtime, RuntimeFault } from './contracts.ts';
import type { IdentityResult } from './identity-keeper.ts';
import type { Limiter } from './limiter.ts';
import type { SecretsResult } from './start-secrets.ts';

export interface StartContext {
  readonly runtime: Runtime;
  readonly consent: NodeConsent;
  /** Guards create and start together: the engine does worse when too many are under way. */
  readonly startSlots: Limiter;
  /** Where a persistent volume is, made where it is missing. */
  readonly volume: (id: VolumeId) => Promise<string>;
  readonly pull: (image: string, signal: AbortSignal) => Promise<PullResult>;
  readonly writeStarting: () => void;
  /** Resolves once the journal holds everything that was written. */
  readonly durable: () => Promise<void>;
  /** Why the node can't run the task as it has to; null: it can. */
  readonly guardRefusal: () => Promise<string | null>;
  /** Resolves once the journal holds that the engine may have been asked to start the task, and it may be. */
  readonly beforeStart: (container: string) => Promise<void>;
  /** What the run is given in confidence. */
  readonly secrets: () => Promise<SecretsResult>;
  /** Tokens of the task about itself. */
  readonly identity: () => Promise<IdentityResult>;
  readonly reportStarting: (reason: StartingReason, message: string) => void;
  /** Null: still wanted. Asked again after each wait. */
  readonly unwanted: () => AssignedTask | 'gone' | null;
  /** Whether the node is without an uplink, so that what can't be had now says nothing about the task. */
  readonly isAlone: () => boolean;
  readonly epoch: number;
  /** 0 is the first. */
  readonly run: number;
  /** Aborted when the task is no longer wanted. */
  readonly signal: AbortSignal;
}

/** `secret-unavailable`: it waits for what it is to be given. */
export type StartingReason = 'accepted' | 'pulling-image' | 'secret-unavailable';

export type StartResult =
  | { readonly type: 'started'; readonly container: Container }
  | { readonly type: 'ended'; readonly ending: Ending }
  | { readonly type: 'postponed'; readonly why: string };

export async function startTask(assigned: AssignedTask, context: StartContext): Promise<StartResult> {
  context.writeStarting();
  const refusal =
    refusalOf(assigned.group, context.consent, await resolvePaths(assigned, context)) ?? (await context.guardRefusal());
  if (refusal !== null) return ended(ending('error', 'refused-by-node', refusal));
  const given = await context.secrets();
  if (given.type === 'postponed') context.reportStarting('secret-unavailable', given.why);
  if (given.type !== 'given') return notWanted(context) ?? given;
  const identity = await context.identity();
  if (identity.type === 'postponed') context.reportStarting('accepted', identity.why);
  if (identity.type !== 'given') return notWanted(context) ?? identity;
  const image = await ensureImage(assigned, context);
  if (image !== null) return image;
  const parts = { secrets: given.secrets, identity: identity.identity };
  const first = await runInTurn(assigned, context, parts);
  if (first.type !== 'image-missing') return settle(first);
  // The engine was thought to have the image; somebody has removed it since.
  const pulled = await pullMissing(assigned, context);
  if (pulled !== null) return pulled;
  const second = await runInTurn(assigned, context, parts);
  if (second.type !== 'image-missing') return settle(second);
  return imageUnavailable(assigned, 'it was gone again right after it had been pulled');
}

/** Null: the image is there. */
async function ensureImage(assigned: AssignedTask, context: StartContext): Promise<StartResult | null> {
  const { image, pullPolicy } = assigned.group;
  // A further run is of the same image as the first, whatever its name has come to mean since.
  const mayUseOwn = image === '' || pullPolicy !== 'always' || context.run > 0;
  if (mayUseOwn && (await context.runtime.hasImage(image))) {
    context.reportStarting('accepted', 'accepted by the node');
    return null;
  }
  await context.durable();
  if (pullPolicy !== 'never') context.reportStarting('pulling-image', `pulling the image ${image}`);
  return pullMissing(assigned, context);
}

async function pullMissing(assigned: AssignedTask, context: StartContext): Promise<StartResult | null> {
  const { image, pullPolicy } = assigned.group;
  if (pullPolicy === 'never')
    return imageUnavailable(assigned, 'the node does not have it, and its pull policy is "never"');
  const pulled = await context.pull(image, context.signal);
  const unwanted = notWanted(context);
  if (unwanted !== null) return unwanted;
  if (pulled.type === 'pulled') return null;
  return context.isAlone()
    ? { type: 'postponed', why: `the image ${image} can't be had: ${pulled.message}` }
    : imageUnavailable(assigned, pulled.message);
}

type Turn = RunResult | Extract<StartResult, { readonly type: 'ended' }>;

interface StartParts {
  readonly secrets: GivenSecrets | null;
  readonly identity: GivenIdentity | null;
}

function runInTurn(assigned: AssignedTask, context: StartContext, parts: StartParts): Promise<Turn> {
  const { secrets, identity } = parts;
  return context.startSlots.run(async () => {
    const unwanted = notWanted(context);
    if (unwanted !== null) return unwanted;
    // Looked at anew: while an image was pulled, whoever may write there can have put a link in the place of a folder.
    const paths = await resolvePaths(assigned, context);
    const refusal = refusalOf(assigned.group, context.consent, paths);
    if (refusal !== null) return { type: 'ended', ending: ending('error', 'refused-by-node', refusal) };
    const mountSources = new Map([...existing(paths), ...(await volumePaths(assigned, context))]);
    const plain = { assigned, epoch: context.epoch, run: context.run, mountSources };
    const request = identity === null ? plain : { ...plain, identity };
    if (secrets === null) return context.runtime.run(request, context.beforeStart);
    return keptQuiet(secrets, () => context.runtime.run({ ...request, secrets }, context.beforeStart));
  });
}

/** What an engine says of a start that failed goes into logs and records. */
async function keptQuiet(secrets: GivenSecrets, run: () => Promise<RunResult>): Promise<RunResult> {
  try {
    const result = await run();
    return result.type === 'refused' ? { ...result, message: withoutSecrets(result.message, secrets) } : result;
  } catch (cause) {
    if (!(cause instanceof RuntimeFault)) throw cause;
    throw new RuntimeFault(withoutSecrets(cause.message, secrets));
  }
}

function settle(turn: Exclude<Turn, { readonly type: 'image-missing' }>): StartResult {
  if (turn.type === 'refused') return ended(ending('error', turn.reason, turn.message));
  return turn;
}

function notWanted(context: StartContext): Extract<StartResult, { readonly type: 'ended' }> | null {
  const unwanted = context.unwanted();
  if (unwanted === null) return null;
  return { type: 'ended', ending: neverStartedEnding(unwanted === 'gone' ? undefined : unwanted) };
}

async function resolvePaths(assigned: AssignedTask, context: StartContext): Promise<ResolvedPaths> {
  const sources = bindSources(assigned.group);
  const paths = sources.length === 0 ? [] : [...sources, ...context.consent.hostMounts];
  const resolved = await Promise.all(
    paths.map(async (path) => [path, await context.runtime.resolvePath(path)] as const),
  );
  return new Map(resolved);
}

async function volumePaths(assigned: AssignedTask, { volume }: StartContext): Promise<[VolumeId, string][]> {
  return Promise.all(
    volumesOf(assigned.group, assigned.index).map(async (id) => [id, await volume(id)] as [VolumeId, string]),
  );
}

function existing(paths: ResolvedPaths): ReadonlyMap<string, string> {
  return new Map([...paths].flatMap(([path, leadsTo]) => (leadsTo === null ? [] : [[path, leadsTo] as const])));
}

function imageUnavailable(assigned: AssignedTask, why: string): StartResult {
  return ended(ending('error', 'image-unavailable', `the image ${assigned.group.image} can't be had: ${why}`));
}

function ended(how: Ending): StartResult {
  return { type: 'ended', ending: how };
}
