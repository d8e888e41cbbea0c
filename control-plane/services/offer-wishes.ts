/** In which of its roles a framework wants offers: reviving asks for all that it has refused, suppressing for none. */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId, RolePath } from '../../shared/domain/ids.ts';
import { generationOf } from '../../shared/domain/offer-filters.ts';
import type { OfferWishesView } from '../../shared/protocol/offers.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { actingFramework, reachSession } from './framework-access.ts';
import { type Draft, mutate } from './mutation.ts';

export interface OfferWish {
  readonly session: number;
  /** Null: all of its roles. */
  readonly roles: readonly RolePath[] | null;
}

/** It is offered again what it has refused in these roles, and is no longer suppressed there. */
export function reviveOffers(
  ctx: ServiceContext,
  call: Call,
  id: FrameworkId,
  wish: OfferWish,
): Promise<Answer<OfferWishesView>> {
  return changeWishes(ctx, call, id, wish, (framework, roles) => {
    const raised = Object.fromEntries(roles.map((role) => [role, generationOf(framework, role) + 1]));
    return {
      ...framework,
      suppressed: framework.suppressed.filter((role) => !roles.includes(role)),
      filterGenerations: { ...framework.filterGenerations, ...raised },
    };
  });
}

/** It is made no more offers in these roles. Those that it holds it keeps. */
export function suppressOffers(
  ctx: ServiceContext,
  call: Call,
  id: FrameworkId,
  wish: OfferWish,
): Promise<Answer<OfferWishesView>> {
  return changeWishes(ctx, call, id, wish, (framework, roles) => {
    const added = roles.filter((role) => !framework.suppressed.includes(role));
    return added.length === 0 ? framework : { ...framework, suppressed: [...framework.suppressed, ...added] };
  });
}

async function changeWishes(
  ctx: ServiceContext,
  call: Call,
  id: FrameworkId,
  { session, roles }: OfferWish,
  change: (framework: Framework, roles: readonly RolePath[]) => Framework,
): Promise<Answer<OfferWishesView>> {
  const acting = { id, session };
  await reachSession(ctx, acting);
  return mutate(ctx, call, (): Draft<OfferWishesView> => {
    const before = actingFramework(ctx, call.principal, acting);
    if (roles !== null) demandRoles(before, roles);
    const after = change(before, roles ?? before.roles);
    const key = keys.framework(id);
    const compares = [{ key, modRevision: ctx.mirror.snapshot.modRevision(key) }];
    const body = { roles: [...after.roles], suppressed: [...after.suppressed] };
    if (after === before) return { status: 200, body, compares: [], writes: [] };
    return { status: 200, body, compares, writes: [putRecord('frameworks', key, after)] };
  });
}

function demandRoles(framework: Framework, roles: readonly RolePath[]): void {
  const faults = roles.flatMap((role, index): Fault[] => {
    if (framework.roles.includes(role)) return [];
    return [{ path: `/roles/${index}`, message: `"${role}" is none of its roles: ${framework.roles.join(', ')}` }];
  });
  const [first] = faults;
  if (first === undefined) return;
  throw new Refusal('invalid-request', `the request is not valid: ${first.path} ${first.message}`, { faults });
}
