/** Values by an id within a group. A group without any is no more. */
export class Grouped<Id, Value> {
  readonly #groups = new Map<string, Map<Id, Value>>();

  set(group: string, id: Id, value: Value): void {
    const members = this.#groups.get(group);
    if (members === undefined) this.#groups.set(group, new Map([[id, value]]));
    else members.set(id, value);
  }

  delete(group: string, id: Id): void {
    const members = this.#groups.get(group);
    members?.delete(id);
    if (members?.size === 0) this.#groups.delete(group);
  }

  get(group: string, id: Id): Value | undefined {
    return this.#groups.get(group)?.get(id);
  }

  of(group: string): Iterable<Value> {
    return this.#groups.get(group)?.values() ?? [];
  }
}

/** Null: there is none any more. */
export function setOrDelete<V>(map: Map<string, V>, id: string, value: V | null): void {
  if (value === null) map.delete(id);
  else map.set(id, value);
}
