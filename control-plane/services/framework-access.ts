/**
 * Who may see a framework, who may act for it, and whether a call is of its present session. Every call about a framework begins
 * here.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId } from '../../shared/domain/ids.ts';
import { actsFor, authorize } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import type { Compare } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import type { Snapshot } from '../store/snapshot.ts';
import { demand, frameworkResource } from './access.ts';
import type { ServiceContext } from './context.ts';
import { timeView } from './views.ts';

const CATCH_UP_MS = 2000;

/** A framework is seen by whoever may read those of one of its roles, and by its own principal. */
export function maySee(principal: Principal, framework: Pick<Framework, 'name' | 'principal' | 'roles'>): boolean {
  return framework.roles.some(
    (role) =>
      authorize(principal, 'framework:read', role, frameworkResource(framework)).allowed ||
      (actsFor(principal, framework.principal) &&
        authorize(principal, 'framework:run', role, frameworkResource(framework)).allowed),
  );
}

/** Throws `not-found` for one that isn't there or that the principal may not see, which is answered alike. */
export function visibleFramework(ctx: ServiceContext, principal: Principal, id: FrameworkId): Framework {
  const framework = ctx.mirror.snapshot.frameworks.get(id);
  if (framework === undefined || !maySee(principal, framework)) {
    throw new Refusal('not-found', `there is no framework "${id}"`);
  }
  return framework;
}

/** One that the principal may act for: it registered it, or may do everything, and reaches all of its roles. */
export function ownFramework(ctx: ServiceContext, principal: Principal, id: FrameworkId): Framework {
  const framework = visibleFramework(ctx, principal, id);
  if (!actsFor(principal, framework.principal)) {
    throw new Refusal(
      'forbidden',
      `framework "${id}" was registered by "${framework.principal}", and nobody else acts for it`,
    );
  }
  for (const role of framework.roles) demand(principal, 'framework:run', role, frameworkResource(framework));
  return framework;
}

/**
 * One that the principal acts for in its present session. Throws `session-moved` for a call of another session, and
 * `framework-gone` once it was torn down. Whoever drafts from the mirror calls {@link reachSession} before.
 */
export function actingFramework(
  ctx: ServiceContext,
  principal: Principal,
  { id, session }: { readonly id: FrameworkId; readonly session: number },
): Framework {
  const framework = ownFramework(ctx, principal, id);
  demandStanding(framework);
  if (framework.session === session) return framework;
  const present = `it is at session ${framework.session} since ${timeView(framework.subscribedAtMs)}`;
  const why =
    session > framework.session
      ? `framework "${id}" has no session ${session} yet: ${present}; name the session that your subscription answered`
      : `session ${session} of framework "${id}" doesn't count: ${present}; whoever subscribed then acts for it, or subscribe anew`;
  throw new Refusal('session-moved', why);
}

/**
 * Belongs to every change that a session makes: whoever has subscribed anew meanwhile, on another replica, has changed the record,
 * and then nothing that was drafted before counts.
 */
export function sessionFence(snapshot: Snapshot, id: FrameworkId): Compare {
  const key = keys.framework(id);
  return { key, modRevision: snapshot.modRevision(key) };
}

/** Throws `framework-gone` for one that was torn down. */
export function demandStanding({ id, teardown }: Framework): void {
  if (teardown === null) return;
  throw new Refusal(
    'framework-gone',
    `framework "${id}" was torn down by ${teardown.by} at ${timeView(teardown.atMs)}: ${teardown.reason}; subscribe without an id to be a new one`,
  );
}

/** This replica's mirror may be behind the one where the framework has subscribed: it gets the time to catch up. */
export async function reachSession(
  ctx: ServiceContext,
  { id, session }: { readonly id: FrameworkId; readonly session: number },
): Promise<void> {
  if ((ctx.mirror.snapshot.frameworks.get(id)?.session ?? 0) < session) await reachPresent(ctx, id);
}

/** Waits until the mirror shows everything that has happened by now. */
export async function reachPresent(ctx: ServiceContext, id: FrameworkId): Promise<void> {
  const { revision } = await ctx.store.get(keys.framework(id));
  if (await ctx.mirror.waitFor(revision, { timeoutMs: CATCH_UP_MS })) return;
  throw new Refusal('unavailable', `replica "${ctx.replica.id}" is behind; ask again`, { retryAfterSeconds: 1 });
}
