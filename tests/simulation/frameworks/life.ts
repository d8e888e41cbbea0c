import { acknowledgeUpdates, killTask, reconcile } from '../../../control-plane/services/framework-calls.ts';
import { subscribe, tearDown, updateFramework } from '../../../control-plane/services/frameworks.ts';
import { answerMaintenance } from '../../../control-plane/services/maintenance-answers.ts';
import { declineOffers } from '../../../control-plane/services/offer-declines.ts';
import { reviveOffers, suppressOffers } from '../../../control-plane/services/offer-wishes.ts';
import { acceptOffers } from '../../../control-plane/services/offers.ts';
import { acknowledgeOperations } from '../../../control-plane/services/operations.ts';
import { Refusal } from '../../../shared/domain/errors.ts';
import type { FrameworkId } from '../../../shared/domain/ids.ts';
import {
  type FrameworkEvent,
  type OfferView,
  type SubscriptionInput,
  subscriptionSchema,
} from '../../../shared/protocol/framework.ts';
import type { AcceptInput } from '../../../shared/protocol/offers.ts';
import { sleep } from '../../../shared/util/clock.ts';
import { NOWHERE } from '../../support/nowhere.ts';
import { isPassing } from '../client.ts';
import { checkTold } from '../invariants/offers.ts';
import { type Violation, violation } from '../invariants/violation.ts';
import type { SeededRandom } from '../seeded-random.ts';
import type { SimulatedProcess } from '../simulated-process.ts';
import type { Truth } from '../truth.ts';
import { type Acting, Caller, type CallerParts } from './caller.ts';
import { FrameworkStream } from './stream.ts';
import { acceptOf, type Deed, launchOf, reserveOf, subscriptionOf, togetherOf, unreserveOf } from './wishes.ts';

/** What a framework keeps beside its processes; one that loses its memory keeps nothing but its id, or not even that. */
export interface Memory {
  id: FrameworkId | null;
  readonly tasks: Set<string>;
}

export interface LifeParts extends CallerParts {
  readonly memory: Memory;
  readonly wishes: SubscriptionInput;
  readonly truth: Truth;
  /** Never the same again, whichever process asks. */
  readonly newName: () => string;
  readonly onViolation: (violation: Violation) => void;
  readonly onBug: (error: unknown) => void;
}

const RETRY_MS: readonly [number, number] = [50, 1500];
const ACKNOWLEDGE_EVERY_MS: readonly [number, number] = [200, 4000];
/** What isn't wanted any more isn't wanted for as long as the run lasts. */
const FOR_GOOD_SECONDS = 86_400;

export class Life {
  readonly #parts: LifeParts;
  readonly #caller: Caller;
  readonly #offers = new Map<string, OfferView>();
  /** Updates that are to be acknowledged, and when. */
  readonly #heard = new Map<string, number>();
  /** The same, of operations with names. */
  readonly #heardOperations = new Map<string, number>();
  #session: number | null = null;
  /** Its session has moved on, or it has ended itself. */
  #isOver = false;
  #isCalm = false;
  #offersSinceCalm = 0;

  constructor(parts: LifeParts) {
    this.#parts = parts;
    this.#caller = new Caller(parts, (refusal, acting) => this.#refused(refusal, acting));
  }

  get process(): SimulatedProcess {
    return this.#parts.process;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** It has asked for offers since it became calm, and was made one. */
  get isFed(): boolean {
    return this.#offersSinceCalm > 0;
  }

  get #isChangingWishes(): boolean {
    return ['suppress', 'update'].some((what) => this.#caller.isWriting(what));
  }

  /** As what it acts now; null: it has no session. */
  get #acting(): Acting | null {
    const { id } = this.#parts.memory;
    return id === null || this.#session === null ? null : { id, session: this.#session };
  }

  async run(): Promise<void> {
    const { process, random } = this.#parts;
    void this.#watched(this.#acknowledging());
    while (!this.#isOver) {
      if (this.#session === null) await this.#subscribe();
      if (this.#session !== null) await this.#listen(this.#session);
      await sleep(process.clock, random.between(...RETRY_MS));
    }
  }

  /** From now on it acknowledges at once, and wants one more offer before it is content. */
  async calm(): Promise<void> {
    const { process, random } = this.#parts;
    this.#isCalm = true;
    let hasAsked = false;
    while (!this.#isOver) {
      // What it asked before may still be on its way, and would be the last word.
      if (!hasAsked || this.#isSilenced()) hasAsked = !this.#isChangingWishes && (await this.#wish('revive'));
      else if (this.#offers.size > 0) {
        this.#offersSinceCalm += 1;
        await this.#decline(FOR_GOOD_SECONDS);
        await this.#wish('suppress');
      }
      await sleep(process.clock, random.between(500, 2000));
    }
  }

  /** It is on record as wanting nothing before it has been offered anything: what an earlier process of it asked has come late. */
  #isSilenced(): boolean {
    const { memory, truth } = this.#parts;
    const record = memory.id === null ? undefined : truth.snapshot.frameworks.get(memory.id);
    if (record === undefined || this.#offersSinceCalm > 0 || this.#offers.size > 0) return false;
    return record.roles.every((role) => record.suppressed.includes(role));
  }

  /** One thing of its own accord. `random`: of this deed alone. */
  async act(deed: Deed, random: SeededRandom): Promise<void> {
    if (this.#session === null || this.#isOver) return;
    switch (deed) {
      case 'launch':
        return this.#launch(random);
      case 'launchTwice':
        return this.#launchTwice(random);
      case 'decline':
        return this.#decline(random.pick([0, 1, 5, 600]));
      case 'kill':
        return this.#kill(random);
      case 'reconcile':
        return this.#reconcile(random);
      case 'revive':
      case 'suppress':
        return void (await this.#wish(deed));
      case 'update':
        return this.#update(random);
      case 'reserve':
        return this.#reserve(random);
      case 'unreserve':
        return this.#unreserve(random);
      case 'blunder':
        return this.#blunder(random);
      case 'tearDown':
        return this.#tearDown();
      case 'wait':
        return;
      default:
        return deed satisfies never;
    }
  }

  async #subscribe(): Promise<void> {
    const { memory, wishes } = this.#parts;
    const subscription = subscriptionSchema.parse({ ...wishes, ...(memory.id === null ? {} : { id: memory.id }) });
    const asked = memory.id;
    const answer = await this.#caller.write(null, 'subscribe', (ctx, call) => subscribe(ctx, call, subscription));
    if (answer instanceof Refusal && asked === memory.id) memory.id = null;
    if (answer === null || answer instanceof Refusal) return;
    memory.id = answer.id;
    this.#session = answer.session;
    this.#offers.clear();
    // What has become of its tasks meanwhile it doesn't know.
    if (asked !== null) await this.#ask(memory.tasks.size > 0 ? [...memory.tasks] : null);
  }

  async #listen(session: number): Promise<void> {
    const { memory, process, network, replicas, random, truth, tell, onViolation } = this.#parts;
    const id = memory.id;
    if (id === null) return;
    this.#offers.clear();
    const onEvent = (event: FrameworkEvent) => {
      for (const found of checkTold(event, truth.snapshot, truth.operations)) onViolation(found);
      this.#take(event, session);
    };
    const stream = new FrameworkStream({ process, network, principal: this.#caller.principal, onEvent });
    try {
      const isPresent = () => this.#parts.memory.id === id && this.#session === session;
      await stream.follow(random.pick(replicas), { id, session }, isPresent);
    } catch (error) {
      if (!isPassing(error)) throw error;
      tell(`its stream can't be opened: ${error instanceof Error ? error.message : String(error)}`);
      if (error instanceof Refusal) this.#refused(error, { id, session });
    }
  }

  #take(event: FrameworkEvent, session: number): void {
    const { memory, tell } = this.#parts;
    switch (event.type) {
      case 'subscribed':
      // Nothing that it launches has an executor.
      case 'message':
      case 'maintenance-over':
      // Its tasks tell the same.
      case 'node-lost':
        return;
      case 'maintenance':
        void this.#watched(this.#answerNotice(event.notice.id));
        return;
      case 'offers':
        for (const offer of event.offers) this.#offers.set(offer.id, offer);
        return;
      case 'offer-gone':
        this.#offers.delete(event.offer);
        return;
      case 'update': {
        const { id, state, task } = event.update;
        if (id !== null) this.#hear(this.#heard, id);
        if (state === 'unknown') memory.tasks.delete(task);
        return;
      }
      case 'operation':
        if (event.operation.id !== null) this.#hear(this.#heardOperations, event.operation.id);
        return;
      case 'superseded':
        tell(`session ${session} is told that session ${event.session} has taken its place: ${event.message}`);
        if (event.session > session) this.#end();
        return;
      case 'ended':
        if (session === this.#session) this.#ended();
        return;
      default:
        event satisfies never;
    }
  }

  #hear(heard: Map<string, number>, id: string): void {
    const { process, random } = this.#parts;
    const delayMs = this.#isCalm ? 0 : random.pick([0, 100, 3000, 30_000]);
    if (!heard.has(id)) heard.set(id, process.clock.monotonicMs() + delayMs);
  }

  /** Somebody else acts for it now, or it is gone and has to begin anew. */
  #refused({ code }: Refusal, of: Acting): void {
    if (of.id !== this.#parts.memory.id || of.session !== this.#session) return;
    if (code === 'session-moved') this.#end();
    if (code === 'framework-gone' || code === 'not-found') this.#ended();
  }

  /** Another process acts for the framework now. */
  #end(): void {
    this.#isOver = true;
    this.#caller.close();
  }

  /** The framework is gone, and has to begin anew. */
  #ended(): void {
    this.#session = null;
    this.#parts.memory.id = null;
    this.#offers.clear();
  }

  async #acknowledging(): Promise<void> {
    const { process, random } = this.#parts;
    while (!this.#isOver) {
      await sleep(process.clock, random.between(...ACKNOWLEDGE_EVERY_MS));
      const due = this.#due(this.#heard);
      if (due.length > 0 && this.#session !== null) await this.#acknowledge(shuffled(due, random));
      const operations = this.#due(this.#heardOperations);
      if (operations.length > 0 && this.#session !== null) await this.#acknowledgeOperations(operations);
    }
  }

  #due(heard: ReadonlyMap<string, number>): string[] {
    const nowMs = this.#parts.process.clock.monotonicMs();
    return [...heard].flatMap(([id, atMs]) => (this.#isCalm || atMs <= nowMs ? [id] : []));
  }

  async #acknowledgeOperations(operations: readonly string[]): Promise<void> {
    const acting = this.#acting;
    if (acting === null) return;
    const answer = await this.#caller.call(acting, `acknowledge operations ${operations.join(' ')}`, (ctx) =>
      acknowledgeOperations(ctx, this.#caller.principal, { ...acting, operations }),
    );
    if (answer === null || answer instanceof Refusal) return;
    for (const id of operations) this.#heardOperations.delete(id);
  }

  async #acknowledge(updates: readonly string[]): Promise<void> {
    const { random } = this.#parts;
    const acting = this.#acting;
    if (acting === null) return;
    const once = () =>
      this.#caller.call(acting, `acknowledge ${updates.join(' ')}`, (ctx) =>
        acknowledgeUpdates(ctx, this.#caller.principal, { ...acting, updates }),
      );
    const [answer] = await Promise.all([once(), ...(random.chance(0.1) ? [once()] : [])]);
    if (answer === null || answer instanceof Refusal) return;
    answer.results.forEach((result, place) => {
      if (result !== 'early') this.#heard.delete(updates[place] ?? '');
    });
  }

  /** Some notices it leaves unanswered. */
  async #answerNotice(notice: string): Promise<void> {
    // Of its own, so that what else it does stays as it is.
    const random = this.#parts.random.split(notice);
    const acting = this.#acting;
    if (acting === null || random.chance(0.3)) return;
    const said = { notice, answer: random.pick(['accepts', 'declines'] as const), refuseSeconds: random.pick([1, 10]) };
    await this.#caller.call(acting, `answer notice ${notice}`, (ctx) =>
      answerMaintenance(
        ctx,
        { principal: this.#caller.principal, origin: NOWHERE, idempotency: null },
        { ...acting, ...said },
      ),
    );
  }

  async #launch(random: SeededRandom): Promise<void> {
    const offers = togetherOf(this.#offers.values(), random);
    await this.#accept(offers, launchOf(offers, random, this.#parts.newName), random);
  }

  /** The same offers, for different tasks, at two replicas at once: as a program that has lost its place would. */
  async #launchTwice(random: SeededRandom): Promise<void> {
    const { newName } = this.#parts;
    const offers = togetherOf(this.#offers.values(), random);
    const others = togetherOf(this.#offers.values(), random);
    await Promise.all([
      this.#accept(offers, launchOf(offers, random, newName), random),
      this.#accept(random.chance(0.5) ? offers : others, launchOf(offers, random, newName), random),
    ]);
  }

  async #reserve(random: SeededRandom): Promise<void> {
    const offers = togetherOf(this.#offers.values(), random);
    if (offers.length > 0) await this.#accept(offers, reserveOf(offers, random, this.#parts.newName()), random);
  }

  async #unreserve(random: SeededRandom): Promise<void> {
    const offers = togetherOf(this.#offers.values(), random);
    const operations = unreserveOf(offers, random);
    if (operations !== null) await this.#accept(offers, operations, random);
  }

  async #accept(
    offers: readonly OfferView[],
    operations: AcceptInput['operations'],
    random: SeededRandom,
  ): Promise<void> {
    const { memory, truth, onViolation } = this.#parts;
    const acting = this.#acting;
    if (acting === null || offers.length === 0) return;
    const request = acceptOf(acting.session, offers, operations, random.pick([0, 1, 5, 60]));
    const answer = await this.#caller.write(acting, `accept ${JSON.stringify(request)}`, (ctx, call) =>
      acceptOffers(ctx, call, acting.id, request),
    );
    if (answer === null) return;
    if (!(answer instanceof Refusal) || answer.code === 'offer-gone') {
      for (const offer of offers) this.#offers.delete(offer.id);
    }
    if (answer instanceof Refusal) return;
    for (const { task, id: taskId } of answer.tasks) {
      memory.tasks.add(task);
      if (truth.snapshot.tasks.has(taskId)) continue;
      onViolation(violation(1, `${acting.id} was told that ${task} was launched, and ${taskId} is not on record`));
    }
  }

  async #decline(refuseSeconds: number): Promise<void> {
    const acting = this.#acting;
    const offers = [...this.#offers.keys()];
    if (acting === null || offers.length === 0) return;
    const wish = { session: acting.session, offers, refuseSeconds };
    const answer = await this.#caller.write(acting, `decline ${JSON.stringify(wish)}`, (ctx, call) =>
      declineOffers(ctx, call, acting.id, wish),
    );
    if (answer !== null && !(answer instanceof Refusal)) for (const offer of offers) this.#offers.delete(offer);
  }

  async #kill(random: SeededRandom): Promise<void> {
    const { memory } = this.#parts;
    const acting = this.#acting;
    if (acting === null || memory.tasks.size === 0) return;
    const name = random.chance(0.05) ? 'nobody' : random.pick([...memory.tasks]);
    const graceSeconds = random.pick([null, 0, 1]);
    await this.#caller.write(acting, `kill ${name} ${graceSeconds}`, (ctx, call) =>
      killTask(ctx, call, { ...acting, name, graceSeconds }),
    );
  }

  async #reconcile(random: SeededRandom): Promise<void> {
    const known = [...this.#parts.memory.tasks];
    await this.#ask(random.chance(0.5) ? null : [...known, 'nobody']);
  }

  /** The answer tells what isn't known of; the stream is told too, wherever it is. */
  async #ask(names: readonly string[] | null): Promise<void> {
    const { memory } = this.#parts;
    const acting = this.#acting;
    if (acting === null) return;
    const answer = await this.#caller.call(acting, `reconcile ${names?.join(' ') ?? 'all'}`, async (ctx, replica) => {
      const reconciled = await reconcile(ctx, this.#caller.principal, { ...acting, names });
      await replica.streams?.ask(acting.id, names);
      return reconciled;
    });
    if (answer === null || answer instanceof Refusal) return;
    for (const { task, state } of answer.updates) if (state === 'unknown') memory.tasks.delete(task);
  }

  /** It leaves roles and joins others, until it subscribes anew. */
  async #update(random: SeededRandom): Promise<void> {
    const acting = this.#acting;
    if (acting === null) return;
    const { id: _id, ...wishes } = subscriptionSchema.parse(subscriptionOf(this.#parts.wishes.name, random));
    await this.#caller.write(acting, 'update', (ctx, call) => updateFramework(ctx, call, acting, wishes));
  }

  /** False: it wasn't heard. */
  async #wish(wish: 'revive' | 'suppress'): Promise<boolean> {
    const acting = this.#acting;
    if (acting === null) return false;
    const change = wish === 'revive' ? reviveOffers : suppressOffers;
    const answer = await this.#caller.write(acting, wish, (ctx, call) =>
      change(ctx, call, acting.id, { session: acting.session, roles: null }),
    );
    return answer !== null && !(answer instanceof Refusal);
  }

  /** What no program should ask for, and some do. */
  async #blunder(random: SeededRandom): Promise<void> {
    const { memory, truth, newName } = this.#parts;
    const foreign = [...truth.snapshot.ledgers.values()].flatMap(({ offers }) => Object.values(offers));
    const [own] = this.#offers.values();
    const stranger = foreign.find(({ framework }) => framework !== memory.id);
    if (own === undefined) return;
    const id = stranger?.id ?? (own.id === '1-1-1' ? '1-1-2' : '1-1-1');
    const wrong = [
      { offers: [{ ...own, id }], name: newName() },
      { offers: [own, { ...own, id }], name: newName() },
      { offers: [own], name: [...memory.tasks][0] ?? newName() },
    ];
    const { offers, name } = random.pick(wrong);
    await this.#accept(
      offers,
      (launchOf(offers, random, () => name) ?? []).map((operation) =>
        'tasks' in operation ? { ...operation, tasks: operation.tasks.slice(0, 1) } : operation,
      ),
      random,
    );
  }

  async #tearDown(): Promise<void> {
    const { id } = this.#parts.memory;
    if (id === null) return;
    // Not a matter of sessions: operators may ask for it as well.
    await this.#caller.write(null, `tear ${id} down`, (ctx, call) => tearDown(ctx, call, id, { reason: 'enough' }));
  }

  async #watched(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#parts.onBug(error);
    }
  }
}

function shuffled<T>(items: readonly T[], random: SeededRandom): T[] {
  return items
    .map((item) => ({ item, place: random.next() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
