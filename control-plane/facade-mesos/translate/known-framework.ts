/** A framework as the translations of its calls and events have to know it, read off its record. Pure. */
import type { Framework } from '../../../shared/domain/framework.ts';
import { frameworkInfoSchema, type WireFrameworkInfo } from '../wire/framework-info.ts';
import { withoutNulls } from '../wire/values.ts';
import { type Annotations, frameworkNotesOf } from './annotations.ts';
import { capabilitiesOf } from './framework-info.ts';
import { wireRole } from './roles.ts';
import type { WireFramework } from './wire-framework.ts';

export function knownFramework(framework: Pick<Framework, 'id' | 'name' | 'principal' | 'annotations'>): WireFramework {
  const { id = framework.id, roles } = frameworkNotesOf(framework.annotations);
  const info = infoOf(framework);
  return {
    id,
    principal: info.principal ?? null,
    subject: framework.principal,
    capabilities: capabilitiesOf(info),
    wireRole: (role) => wireRole(roles, role),
  };
}

/** What it said of itself; of one that came through another door there is no more than its name. */
export function infoOf({
  name,
  annotations,
}: {
  readonly name: string;
  readonly annotations: Annotations;
}): WireFrameworkInfo {
  const unsaid = { user: '', name };
  const read = frameworkInfoSchema.safeParse(withoutNulls({ ...unsaid, ...frameworkNotesOf(annotations).info }));
  return read.data ?? frameworkInfoSchema.parse(unsaid);
}
