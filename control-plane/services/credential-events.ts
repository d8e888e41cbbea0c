/** What changes of tokens, keys and nodes' credentials mean to people. Pure. */
import type { Epoch, OtherMachine } from '../../shared/domain/node.ts';
import type { RevocationScope } from '../../shared/domain/token-record.ts';
import type { EventType } from '../../shared/protocol/views.ts';
import type { ChangeOf } from '../store/snapshot.ts';

export interface CredentialEvent {
  readonly type: EventType;
  readonly message: string;
  readonly atMs: number;
}

/** Join tokens come and go with every machine that is set up: no news. */
export function tokenEvents({ before, after }: ChangeOf<'tokens'>): CredentialEvent[] {
  if (after === null) return [];
  const { atMs, by } = after;
  switch (after.type) {
    case 'revoked':
      return before === null
        ? [{ type: 'token.revoked', message: `${by} has revoked the token ${after.id}`, atMs }]
        : [];
    case 'revoked-before': {
      const before = new Date(after.beforeMs).toISOString();
      const message = `${by} has revoked ${scopeText(after.scope)} that were issued before ${before}`;
      return [{ type: 'token.revoked', message, atMs }];
    }
    case 'break-glass': {
      const until = new Date(after.untilMs).toISOString();
      const message = `${by} has made an admin's token past all rights, good until ${until}: ${after.reason}`;
      return [{ type: 'token.break-glass', message, atMs }];
    }
    case 'join':
      return [];
  }
}

export function scopeText(scope: RevocationScope): string {
  switch (scope.of) {
    case 'all':
      return 'all tokens';
    case 'kind':
      return `all tokens of the kind ${scope.kind}`;
    case 'subject':
      return `all tokens of "${scope.subject}"`;
    case 'node':
      return `all tokens of node "${scope.node}"`;
  }
}

export function keyEvents({ before, after }: ChangeOf<'keys'>): CredentialEvent[] {
  if (after === null) return [];
  if (before === null) {
    const from = new Date(after.signsFromMs).toISOString();
    const message = `${after.createdBy} has made the signing key ${after.kid}, which signs from ${from} on`;
    return [{ type: 'key.created', message, atMs: after.createdAtMs }];
  }
  if (after.revoked === null || before.revoked !== null) return [];
  const { by, atMs, reason } = after.revoked;
  const message = `${by} has retired the signing key ${after.kid}, and all that it had signed: ${reason}`;
  return [{ type: 'key.retired', message, atMs }];
}

const CONTESTED: Readonly<Record<OtherMachine['how'], string>> = {
  'same-memory': 'two agents run with the same memory; the one that lives keeps the node, the other is a clone',
  'other-memory': "an agent came under its name without the memory of this node's own, and was refused",
};

export function contestEvents(before: Epoch | null, after: Epoch | null): CredentialEvent[] {
  const now = after?.otherMachine;
  if (now === undefined || now.atMs === before?.otherMachine?.atMs) return [];
  return [{ type: 'node.contested', message: CONTESTED[now.how], atMs: now.atMs }];
}
