/** What is set for the cluster as a whole. */
import type { Settings } from '../../shared/domain/settings.ts';
import type { SettingsView } from '../../shared/protocol/roles.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { claimRound } from '../store/round-claim.ts';
import { demand } from './access.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { type Draft, mutate } from './mutation.ts';
import { checkVersion, type Unversioned, versioned } from './set-version.ts';

export function getSettings(ctx: ServiceContext, principal: Principal): SettingsView {
  demand(principal, 'settings:read', null);
  const { snapshot } = ctx.mirror;
  return { version: snapshot.modRevision(keys.settings), ...settingsView(snapshot.settings) };
}

/**
 * Sets all of them, in a round of their own: nothing that was planned under the old ones is committed once the new ones are answered.
 * `ifVersion`: the version that the caller has seen; anything else that stands is a `revision-mismatch`.
 */
export async function setSettings(
  ctx: ServiceContext,
  call: Call,
  settings: Settings,
  { ifVersion }: { ifVersion: number | null },
): Promise<Answer<SettingsView>> {
  demand(call.principal, 'settings:write', null);
  const draft = (): Draft<Unversioned<Omit<SettingsView, 'version'>>> => {
    const { snapshot } = ctx.mirror;
    const modRevision = snapshot.modRevision(keys.settings);
    checkVersion('what is set for the cluster', modRevision, ifVersion);
    const isChange = canonicalJson(snapshot.settings) !== canonicalJson(settings);
    return {
      status: 200,
      body: { view: settingsView(settings), version: isChange ? null : modRevision },
      compares: [{ key: keys.settings, modRevision }],
      writes: isChange ? [putRecord('settings', keys.settings, settings)] : [],
    };
  };
  return versioned(await mutate(ctx, call, draft, () => claimRound(ctx)));
}

function settingsView(settings: Settings): Omit<SettingsView, 'version'> {
  return {
    gpuNodes: settings.gpuNodes,
    offerTimeoutSeconds: settings.offerTimeoutSeconds,
    minAllocatable: settings.minAllocatable.map((amounts) => ({ ...amounts })),
    excludedFromShares: [...settings.excludedFromShares],
    auditKeepDays: settings.auditKeepDays,
  };
}
