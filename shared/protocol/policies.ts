/** Trust policies, as operators write them and the API shows them, and what is exchanged by them. */
import { z } from 'zod';
import { NAME_PATTERN, NAME_RULE } from '../domain/ids.ts';
import { readPattern } from '../domain/text-pattern.ts';
import {
  CLAIM_TEXT_MAX,
  CLAIM_VALUES_MAX,
  EXCHANGED_TTL_SECONDS_MAX,
  OUTSIDE_ALGORITHMS,
  POLICY_RULES_MAX,
  RULE_CLAIMS_MAX,
} from '../domain/trust-policy.ts';
import { roleSchema } from './job.ts';
import { timeSchema } from './views.ts';

export const policyNameSchema = z.string().regex(NAME_PATTERN, `must be ${NAME_RULE}`);

const httpsUrl = z
  .url()
  .max(CLAIM_TEXT_MAX)
  .refine((text) => URL.parse(text)?.protocol === 'https:', 'must be an https URL');
const issuerUrl = httpsUrl.refine((text) => {
  const url = URL.parse(text);
  return url !== null && url.search === '' && url.hash === '' && url.username === '' && url.password === '';
}, 'must be without user, query and fragment');

const claimText = z
  .union([z.string().max(CLAIM_TEXT_MAX), z.number(), z.boolean()])
  .refine((value) => typeof value !== 'number' || Number.isSafeInteger(value), 'must be written as a text, in quotes');

/** As it is written: a text, a number or a boolean; a list of them; or a pattern. */
export const claimMatcherSchema = z
  .union([
    claimText,
    z.array(claimText).min(1).max(CLAIM_VALUES_MAX),
    // Whether it is one is said below, in words of its own.
    z.strictObject({ pattern: z.string() }),
  ])
  .superRefine((matcher, context) => {
    if (typeof matcher !== 'object' || !('pattern' in matcher)) return;
    const pattern = readPattern(matcher.pattern);
    if (typeof pattern === 'string') context.addIssue({ code: 'custom', path: ['pattern'], message: pattern });
  })
  .meta({ id: 'ClaimMatcher' });

const claimName = z.string().min(1).max(CLAIM_TEXT_MAX);

const ruleRequestSchema = z
  .strictObject({
    name: policyNameSchema.optional().describe('What people call it.'),
    claims: z
      .record(claimName, claimMatcherSchema)
      .refine((claims) => Object.keys(claims).length <= RULE_CLAIMS_MAX, `must be at most ${RULE_CLAIMS_MAX}`)
      .describe(
        'All have to hold: `main` is that text; `[push, schedule]` one of them; `{pattern: "v[0-9]+"}` an RE2 pattern of the whole. Numbers and booleans count as texts; of a claim that is a list, one member will do. A name that begins with `/` is a JSON pointer into the claims.',
      ),
    roles: z
      .array(z.union([roleSchema, z.literal('*')]))
      .max(100)
      .default([])
      .describe('Role paths; each covers what lies below it.'),
    actions: z.array(z.string().max(64)).min(1).max(100).describe('Such as `job:read` or `job:*`.'),
    allowAnySubject: z
      .boolean()
      .default(false)
      .describe(
        'Says that whoever the issuer gives a token to is meant. Without it, a rule that holds for all is refused.',
      ),
  })
  .meta({ id: 'TrustRuleRequest' });

export const policyRequestSchema = z
  .strictObject({
    issuer: issuerUrl.describe('Exactly as it stands in the claim `iss`.'),
    audience: z
      .string()
      .min(1)
      .max(CLAIM_TEXT_MAX)
      .describe('What the claim `aud` has to be, and nothing beside it. One that no other service takes.'),
    jwksUri: httpsUrl.optional().describe('Where its keys are. Absent: found by OpenID discovery under the issuer.'),
    algorithms: z.array(z.enum(OUTSIDE_ALGORITHMS)).min(1).max(OUTSIDE_ALGORITHMS.length).default(['RS256']),
    ttlSecondsMax: z
      .number()
      .int()
      .min(60)
      .max(EXCHANGED_TTL_SECONDS_MAX)
      .default(EXCHANGED_TTL_SECONDS_MAX)
      .describe('How long a token may hold that is given for one of the issuer.'),
    singleUse: z
      .boolean()
      .default(false)
      .describe('Each token of the issuer is taken once. It has to have a claim `jti`.'),
    clientId: z
      .string()
      .min(1)
      .max(CLAIM_TEXT_MAX)
      .optional()
      .describe('A public client of the issuer, for people who log in with a browser. Not a secret.'),
    rules: z.array(ruleRequestSchema).min(1).max(POLICY_RULES_MAX).describe('Each that holds brings its own grant.'),
  })
  .refine(({ clientId, audience }) => clientId === undefined || clientId === audience, {
    path: ['audience'],
    error: 'must be the clientId, for which the ID tokens are that people get',
  })
  .meta({ id: 'PolicyRequest' });

/** The name stands beside what is said of it; over the API it is in the path. */
export const policyFileSchema = policyRequestSchema.safeExtend({ name: policyNameSchema });

const matcherView = z.union([z.array(z.string()), z.object({ pattern: z.string() })]);

export const policyViewSchema = z
  .object({
    name: policyNameSchema,
    version: z.number().int().min(0).describe('As the ETag has it.'),
    issuer: z.string(),
    audience: z.string(),
    jwksUri: z.string().nullable(),
    algorithms: z.array(z.enum(OUTSIDE_ALGORITHMS)),
    ttlSecondsMax: z.number(),
    singleUse: z.boolean(),
    clientId: z.string().nullable(),
    rules: z.array(
      z.object({
        name: z.string().nullable(),
        claims: z.record(z.string(), matcherView),
        roles: z.array(z.string()),
        actions: z.array(z.string()),
        allowAnySubject: z.boolean(),
      }),
    ),
    updatedAt: timeSchema,
    updatedBy: z.string(),
  })
  .meta({ id: 'Policy', description: 'What is believed of tokens of an outside issuer, and what they bring.' });

const grantView = z.object({ roles: z.array(z.string()), actions: z.array(z.string()) }).meta({ id: 'Grant' });

const tokenText = z.string().min(1).max(8192);

export const exchangeRequestSchema = z
  .strictObject({
    token: tokenText.describe('A JWT of an issuer that a trust policy names.'),
    policy: policyNameSchema.optional().describe('Only by this one. Absent: by all that the token is for.'),
    roles: z
      .array(z.union([roleSchema, z.literal('*')]))
      .min(1)
      .max(100)
      .optional()
      .describe('Only these, of what it would bring.'),
    actions: z.array(z.string().max(64)).min(1).max(100).optional().describe('Only these, of what it would bring.'),
    ttlSeconds: z
      .number()
      .int()
      .min(60)
      .max(EXCHANGED_TTL_SECONDS_MAX)
      .optional()
      .describe('Absent: 15 minutes, or what the policy allows if that is less.'),
  })
  .meta({ id: 'ExchangeRequest' });

export const exchangedTokenSchema = z
  .object({
    token: z.string(),
    id: z.string(),
    subject: z.string(),
    grants: z.array(grantView),
    expiresAt: timeSchema,
  })
  .meta({ id: 'ExchangedToken' });

export const loginsViewSchema = z
  .object({
    items: z.array(z.object({ policy: z.string(), issuer: z.string(), clientId: z.string() })),
  })
  .meta({ id: 'Logins', description: 'Where people can log in: the issuers that policies name a public client of.' });

export const whoamiSchema = z
  .object({
    kind: z.enum(['user', 'join', 'node', 'peer']),
    subject: z.string(),
    tokenId: z.string(),
    grants: z.array(grantView),
    node: z.string().nullable(),
    issuedAt: timeSchema,
    expiresAt: timeSchema,
  })
  .meta({ id: 'Whoami', description: 'Who the token stands for, what it allows, and until when.' });

export const trustTestRequestSchema = z
  .strictObject({
    token: tokenText.optional().describe('It is checked as in an exchange, but not used up.'),
    claims: z.record(z.string(), z.unknown()).optional().describe('In place of a token: what one would say.'),
    policy: policyNameSchema.optional().describe('Only this one.'),
  })
  .refine(({ token, claims }) => (token === undefined) !== (claims === undefined), {
    error: 'must have either a token or claims',
  })
  .meta({ id: 'TrustTestRequest' });

export const trustTestViewSchema = z
  .object({
    claims: z.record(z.string(), z.unknown()),
    grants: z.array(grantView).describe('What an exchange would bring.'),
    policies: z.array(
      z.object({
        name: z.string(),
        objection: z.string().nullable().describe('Why it is not about this token; null: it is.'),
        rules: z.array(
          z.object({
            rule: z.number().int().min(0),
            name: z.string().nullable(),
            holds: z.boolean(),
            claims: z.array(z.object({ claim: z.string(), holds: z.boolean(), why: z.string() })),
          }),
        ),
      }),
    ),
  })
  .meta({ id: 'TrustTest' });

export type PolicyRequest = z.output<typeof policyRequestSchema>;
export type PolicyRequestInput = z.input<typeof policyRequestSchema>;
export type PolicyView = z.output<typeof policyViewSchema>;
export type ExchangeRequest = z.output<typeof exchangeRequestSchema>;
export type ExchangeRequestInput = z.input<typeof exchangeRequestSchema>;
export type ExchangedToken = z.output<typeof exchangedTokenSchema>;
export type LoginsView = z.output<typeof loginsViewSchema>;
export type WhoamiView = z.output<typeof whoamiSchema>;
export type TrustTestRequest = z.output<typeof trustTestRequestSchema>;
export type TrustTestRequestInput = z.input<typeof trustTestRequestSchema>;
export type TrustTestView = z.output<typeof trustTestViewSchema>;
export type ClaimMatcherInput = z.output<typeof claimMatcherSchema>;
