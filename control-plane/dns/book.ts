/** What is known of endpoints, by what names ask for: jobs, roles and nodes. */
import type { EndpointUpdate } from '../../shared/client/endpoints.ts';
import type { EndpointView } from '../../shared/protocol/endpoints.ts';

export class EndpointBook {
  #revision = 0;
  readonly #jobs = new Map<string, Map<string, EndpointView>>();
  readonly #jobOf = new Map<string, string>();
  /** How many jobs have an endpoint in the role, or below it. */
  readonly #roles = new Map<string, number>();
  readonly #nodes = new Map<string, Map<string, EndpointView>>();

  /** Of what it was told last; 0: it was told nothing yet. */
  get revision(): number {
    return this.#revision;
  }

  apply(update: EndpointUpdate): void {
    if (update.type === 'list') {
      for (const book of [this.#jobs, this.#jobOf, this.#roles, this.#nodes]) book.clear();
      for (const one of update.list.items) this.#put(one);
      this.#revision = update.list.revision;
      return;
    }
    const { revision, put, gone } = update.change;
    for (const id of gone) this.#remove(id);
    for (const one of put) {
      this.#remove(one.id);
      this.#put(one);
    }
    this.#revision = revision;
  }

  /** In any state. */
  ofJob(role: string, job: string): readonly EndpointView[] {
    return [...(this.#jobs.get(`${role}/${job}`)?.values() ?? [])];
  }

  hasRole(role: string): boolean {
    return this.#roles.has(role);
  }

  /** Where the ports of its tasks are reached; null: nothing of it is known. */
  addressOf(node: string): string | null {
    const [last] = [...(this.#nodes.get(node)?.values() ?? [])].slice(-1);
    return last?.address ?? null;
  }

  #put(one: EndpointView): void {
    const job = `${one.role}/${one.job}`;
    const siblings = this.#jobs.get(job) ?? new Map<string, EndpointView>();
    if (siblings.size === 0) {
      this.#jobs.set(job, siblings);
      this.#count(one.role, 1);
    }
    siblings.set(one.id, one);
    this.#jobOf.set(one.id, job);
    const neighbours = this.#nodes.get(one.node) ?? new Map<string, EndpointView>();
    this.#nodes.set(one.node, neighbours.set(one.id, one));
  }

  #remove(id: string): void {
    const job = this.#jobOf.get(id);
    const siblings = job === undefined ? undefined : this.#jobs.get(job);
    const one = siblings?.get(id);
    if (job === undefined || siblings === undefined || one === undefined) return;
    this.#jobOf.delete(id);
    siblings.delete(id);
    if (siblings.size === 0) {
      this.#jobs.delete(job);
      this.#count(one.role, -1);
    }
    const neighbours = this.#nodes.get(one.node);
    neighbours?.delete(id);
    if (neighbours?.size === 0) this.#nodes.delete(one.node);
  }

  #count(role: string, by: 1 | -1): void {
    const names = role.split('/');
    for (let depth = 1; depth <= names.length; depth += 1) {
      const path = names.slice(0, depth).join('/');
      const count = (this.#roles.get(path) ?? 0) + by;
      if (count > 0) this.#roles.set(path, count);
      else this.#roles.delete(path);
    }
  }
}
