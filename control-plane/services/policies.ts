/**
 * Trust policies: whose tokens are taken in exchange for ours, and what they bring. Nobody writes one that brings more than they hold
 * themselves, or one that lets in whoever an issuer knows without saying so.
 */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import {
  type ClaimMatcher,
  identifyingClaims,
  isCatchAll,
  POLICIES_MAX,
  POLICY_CHARACTERS_MAX,
  type TrustPolicy,
  type TrustRule,
} from '../../shared/domain/trust-policy.ts';
import type { ClaimMatcherInput, PolicyRequest, PolicyView } from '../../shared/protocol/policies.ts';
import type { Page } from '../../shared/protocol/views.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import { ACTION_PATTERNS, canPassOn } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { Snapshot } from '../store/snapshot.ts';
import { demand } from './access.ts';
import type { Answer, Call, PageRequest, ServiceContext } from './context.ts';
import { type Draft, mutate } from './mutation.ts';
import { pageThrough } from './paging.ts';
import { checkVersion, type Unversioned, versioned } from './set-version.ts';
import { timeView } from './views.ts';

export function listPolicies(ctx: ServiceContext, principal: Principal, page: PageRequest): Page<PolicyView> {
  demand(principal, 'policy:read', null);
  const { snapshot } = ctx.mirror;
  return pageThrough(snapshot.policies.values(), page, {
    keyOf: (policy) => policy.name,
    view: (policy) => policyView(policy, snapshot.modRevision(keys.policy(policy.name))),
  });
}

export function getPolicy(ctx: ServiceContext, principal: Principal, name: string): PolicyView {
  demand(principal, 'policy:read', null);
  const { snapshot } = ctx.mirror;
  return policyView(policyOf(snapshot, name), snapshot.modRevision(keys.policy(name)));
}

export interface PolicyConditions {
  /** The version that the caller has seen; anything else that stands is a `revision-mismatch`. */
  readonly ifVersion: number | null;
  /** Refuse if there is one of this name already. */
  readonly onlyCreate: boolean;
}

/** Replaces all of it. Tokens that were given by the one before hold until they expire. */
export async function setPolicy(
  ctx: ServiceContext,
  call: Call,
  { name, request }: { readonly name: string; readonly request: PolicyRequest },
  { ifVersion, onlyCreate }: PolicyConditions,
): Promise<Answer<PolicyView>> {
  demand(call.principal, 'policy:write', null);
  const wanted = { ...policyFrom(name, request), updatedAtMs: ctx.clock.now(), updatedBy: call.principal.subject };
  checkRules(wanted);
  checkPassedOn(call.principal, wanted);
  const draft = (): Draft<Unversioned<Omit<PolicyView, 'version'>>> => {
    const { snapshot } = ctx.mirror;
    const before = snapshot.policies.get(name) ?? null;
    const key = keys.policy(name);
    const modRevision = snapshot.modRevision(key);
    if (onlyCreate && before !== null) throw alreadyThere(name);
    checkVersion(`policy "${name}"`, modRevision, ifVersion);
    const isChange = before === null || canonicalJson(termsOf(before)) !== canonicalJson(termsOf(wanted));
    checkAgainstOthers(snapshot, wanted);
    return {
      status: before === null ? 201 : 200,
      body: { view: policyViewOf(isChange ? wanted : before), version: isChange ? null : modRevision },
      compares: [{ key, modRevision }],
      writes: isChange ? [putRecord('policies', key, wanted)] : [],
    };
  };
  return versioned(await mutate(ctx, call, draft));
}

/** Answers with what was there. */
export async function deletePolicy(
  ctx: ServiceContext,
  call: Call,
  name: string,
  { ifVersion }: Pick<PolicyConditions, 'ifVersion'>,
): Promise<Answer<PolicyView>> {
  demand(call.principal, 'policy:write', null);
  const draft = (): Draft<PolicyView> => {
    const { snapshot } = ctx.mirror;
    const key = keys.policy(name);
    const modRevision = snapshot.modRevision(key);
    const policy = policyOf(snapshot, name);
    checkVersion(`policy "${name}"`, modRevision, ifVersion);
    return {
      status: 200,
      body: policyView(policy, modRevision),
      compares: [{ key, modRevision }],
      writes: [{ type: 'delete', key }],
    };
  };
  return mutate(ctx, call, draft);
}

function policyOf({ policies }: Pick<Snapshot, 'policies'>, name: string): TrustPolicy {
  const policy = policies.get(name);
  if (policy === undefined) throw new Refusal('not-found', `there is no policy "${name}"`);
  return policy;
}

function policyFrom(name: string, request: PolicyRequest): Omit<TrustPolicy, 'updatedAtMs' | 'updatedBy'> {
  const { jwksUri = null, clientId = null, rules, ...rest } = request;
  return { name, ...rest, jwksUri, clientId, rules: rules.map(ruleFrom) };
}

function ruleFrom({ name, claims, ...rest }: PolicyRequest['rules'][number]): TrustRule {
  const matchers = Object.entries(claims).map(([claim, matcher]) => [claim, matcherFrom(matcher)] as const);
  return { name: name ?? null, claims: Object.fromEntries(matchers), ...rest };
}

/** Claims are compared as texts. */
export function matcherFrom(matcher: ClaimMatcherInput): ClaimMatcher {
  if (Array.isArray(matcher)) return matcher.map(String);
  return typeof matcher === 'object' ? matcher : [String(matcher)];
}

function checkRules(policy: TrustPolicy): void {
  const faults = policy.rules.flatMap((rule, index) => [
    ...rule.actions.flatMap((action, place) => unknownAction(action, `/rules/${index}/actions/${place}`)),
    ...(rule.allowAnySubject || !isCatchAll(policy.issuer, rule) ? [] : [catchAll(policy.issuer, index)]),
  ]);
  const characters = JSON.stringify(policy).length;
  if (characters > POLICY_CHARACTERS_MAX) {
    faults.push({ path: '/rules', message: `come to ${characters} characters of JSON, of ${POLICY_CHARACTERS_MAX}` });
  }
  if (faults.length > 0) throw refused(policy.name, faults);
}

function unknownAction(action: string, path: string): Fault[] {
  if (ACTION_PATTERNS.includes(action)) return [];
  return [{ path, message: `"${action}" is not an action; there are ${ACTION_PATTERNS.join(', ')}` }];
}

function catchAll(issuer: string, index: number): Fault {
  const names = identifyingClaims(issuer);
  const which = names === null ? 'such as an id of a project' : `one of ${names.join(', ')}`;
  return {
    path: `/rules/${index}/claims`,
    message: `would let in whoever ${issuer} gives a token to; name a claim that says whose it is, ${which}, and what it has to be; or say "allowAnySubject": true if you mean everybody`,
  };
}

function checkPassedOn(principal: Principal, { name, rules }: TrustPolicy): void {
  for (const [index, { roles, actions }] of rules.entries()) {
    const verdict = canPassOn(principal, { roles, actions });
    if (verdict.allowed) continue;
    throw new Refusal('forbidden', `policy "${name}" is left as it is: ${verdict.why} by the rule /rules/${index}`);
  }
}

/**
 * The keys of an issuer are where they are: were policies to differ in it, somebody who may write one could make tokens in the
 * name of whoever another lets in.
 */
function checkAgainstOthers({ policies }: Pick<Snapshot, 'policies'>, wanted: TrustPolicy): void {
  const others = [...policies.values()].filter(({ name }) => name !== wanted.name);
  if (others.length >= POLICIES_MAX) {
    throw new Refusal(
      'limit-exceeded',
      `there are ${POLICIES_MAX} policies already; put rules together, or remove one`,
    );
  }
  const other = others.find(({ issuer, jwksUri }) => issuer === wanted.issuer && jwksUri !== wanted.jwksUri);
  if (other === undefined) return;
  const where = other.jwksUri === null ? 'are found by discovery' : `are at ${other.jwksUri}`;
  throw new Refusal('conflict', `by policy "${other.name}" the keys of ${wanted.issuer} ${where}; it can't be both`, {
    faults: [{ path: '/jwksUri', message: `by policy "${other.name}" the keys of this issuer ${where}` }],
  });
}

function refused(name: string, faults: readonly Fault[]): Refusal {
  const said = faults.map((fault) => `${fault.path} ${fault.message}`).join('; ');
  return new Refusal('invalid-request', `policy "${name}" is left as it is: ${said}`, { faults });
}

function alreadyThere(name: string): Refusal {
  return new Refusal(
    'already-exists',
    `there is a policy "${name}" already; send If-Match with its version to change it`,
  );
}

function termsOf({ updatedAtMs: _at, updatedBy: _by, ...terms }: TrustPolicy): object {
  return terms;
}

function policyView(policy: TrustPolicy, version: number): PolicyView {
  return { ...policyViewOf(policy), version };
}

function policyViewOf({ updatedAtMs, rules, algorithms, ...policy }: TrustPolicy): Omit<PolicyView, 'version'> {
  return {
    ...policy,
    algorithms: [...algorithms],
    rules: rules.map((rule) => ({
      ...rule,
      claims: Object.fromEntries(
        Object.entries(rule.claims).map(([claim, matcher]) => [claim, 'pattern' in matcher ? matcher : [...matcher]]),
      ),
      roles: [...rule.roles],
      actions: [...rule.actions],
    })),
    updatedAt: timeView(updatedAtMs),
  };
}
