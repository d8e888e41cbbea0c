/**
 * `berth balancer`: keeps a haproxy true to the endpoints. Each list of them is turned into a plan; what differs from the plan before
 * is told to the running haproxy, or loaded. Without lists, because the control plane is away, the last plan goes on.
 */
import type { EndpointView } from '../../shared/protocol/endpoints.ts';
import { type BackoffPolicy, jitteredBackoffMs } from '../../shared/util/backoff.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Logger } from '../../shared/util/log.ts';
import type { Random } from '../../shared/util/random.ts';
import { NameLookups } from './addresses.ts';
import { CertificateFolder } from './certificates.ts';
import { commandsBetween, withinStructure } from './changes.ts';
import type { Holders, Trouble } from './claims.ts';
import { type Certificates, type Configuration, configurationOf, structureOf } from './config.ts';
import { ConfigFolder } from './config-folder.ts';
import type { EndpointSource } from './endpoint-source.ts';
import { Haproxy, HaproxyError, type HaproxyOptions, requireHaproxy } from './haproxy.ts';
import { EMPTY_PLAN, nextPlan, type Plan } from './plan.ts';
import { whyNotListening } from './port-probe.ts';
import type { BalancerSettings } from './settings.ts';
import { type BalancerStatus, statusOf, type Tally } from './status.ts';
import { troubleNews } from './trouble-news.ts';

/** So long is waited after a reload before the next change is made: a rollout brings many at once, and each reload is a new process. */
const RELOADS_APART_MS = 50;
/** The same after commands, which cost next to nothing. */
const COMMANDS_APART_MS = 5;
/** Names, certificates and ports that could not be had are looked at again after so long. */
const LOOK_AGAIN_MS = 10_000;
const RESTARTS: BackoffPolicy = { baseMs: 100, factor: 2, maxMs: 10_000 };
const SOURCE_RETRIES: BackoffPolicy = { baseMs: 200, factor: 2, maxMs: 10_000 };
/** One that has run for so long is restarted as if it had never failed. */
const STEADY_MS = 60_000;
const STOP_GRACE_MS = 30_000;

export interface BalancerOptions {
  readonly source: EndpointSource;
  readonly settings: BalancerSettings;
  readonly haproxy: Omit<HaproxyOptions, 'folder' | 'clock' | 'log'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

interface Loaded {
  readonly plan: Plan;
  readonly certificates: Certificates | null;
  readonly structure: string;
}

export class Balancer {
  readonly #options: BalancerOptions;
  readonly #haproxyOptions: HaproxyOptions;
  readonly #folder: ConfigFolder;
  readonly #names: NameLookups;
  readonly #certificates: CertificateFolder | null;
  #endpoints: readonly EndpointView[] | null = null;
  #haproxy: Haproxy | null = null;
  #loaded: Loaded | null = null;
  /** Who had what when an earlier balancer ended. */
  #holdersBefore: Holders = EMPTY_PLAN.holders;
  /** Service ports that a haproxy of ours listens on. */
  #listening: ReadonlySet<number> = new Set();
  #troubles: readonly Trouble[] = [];
  /** The structure that haproxy would not have, until it is looked at again. */
  #unloadable: string | null = null;
  #wake = Promise.withResolvers<void>();
  #failures = 0;
  #tally: Tally = { reloads: 0, commands: 0, restarts: 0, lists: 0, applied: 0, lastChange: null, sourceTrouble: null };

  constructor(options: BalancerOptions) {
    const { settings, clock, log } = options;
    this.#options = options;
    this.#haproxyOptions = { ...options.haproxy, folder: settings.folder, clock, log };
    this.#folder = new ConfigFolder(settings.folder);
    this.#names = new NameLookups({ clock, onNews: () => this.#wake.resolve() });
    this.#certificates = settings.certsDir === null ? null : new CertificateFolder(settings.certsDir);
  }

  /** Resolves when the signal has been aborted and haproxy has ended. Rejects where the listeners for hosts can't be had. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    await requireHaproxy(this.#options.haproxy);
    await this.#folder.prepare();
    if (!(await this.#serveFromBefore())) await this.#requireListeners();
    const watching = this.#watchSource(signal);
    signal.addEventListener('abort', () => this.#wake.resolve(), { once: true });
    while (!signal.aborted) {
      await this.#work();
      if (signal.aborted) break;
      this.#wake = Promise.withResolvers<void>();
      const { reloads } = this.#tally;
      if (this.#endpoints !== null) await this.#apply(this.#endpoints, signal);
      else if (this.#haproxy === null && (await this.#pausedAfterFailures(signal))) await this.#serveFromBefore();
      await sleep(clock, this.#tally.reloads > reloads ? RELOADS_APART_MS : COMMANDS_APART_MS, signal);
    }
    await watching;
    await this.#haproxy?.stop(STOP_GRACE_MS);
  }

  /** Has everything decided and read anew: names, certificates, and what haproxy would not load. */
  lookAgain(): void {
    this.#unloadable = null;
    this.#names.forget();
    this.#certificates?.forget();
    this.#wake.resolve();
  }

  status(): BalancerStatus {
    return statusOf({
      plan: this.#loaded?.plan ?? EMPTY_PLAN,
      troubles: this.#troubles,
      tally: this.#tally,
      haproxyPid: this.#haproxy?.pid ?? null,
    });
  }

  async #work(): Promise<void> {
    const timer = this.#options.clock.setTimer(LOOK_AGAIN_MS, () => this.lookAgain());
    await this.#wake.promise;
    timer.cancel();
  }

  async #watchSource(signal: AbortSignal): Promise<void> {
    const { source, clock, random, log } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      try {
        for await (const endpoints of source.watch(signal)) {
          failures = 0;
          this.#endpoints = endpoints;
          this.#tally = { ...this.#tally, lists: this.#tally.lists + 1, sourceTrouble: null };
          this.#wake.resolve();
        }
      } catch (error) {
        if (signal.aborted) return;
        const why = wordsOf(error);
        this.#tally = { ...this.#tally, sourceTrouble: why };
        log.warn({ why }, 'the endpoints can not be had; what was loaded last goes on');
      }
      await sleep(clock, jitteredBackoffMs(SOURCE_RETRIES, failures, random.next()), signal);
      failures += 1;
    }
  }

  async #apply(endpoints: readonly EndpointView[], signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const { plan, certificates, troubles } = await this.#decide(endpoints);
    const structure = structureOf(plan, certificates);
    const wanted = { plan, certificates, structure };
    const how = await this.#bringAbout(wanted, signal);
    const unloadable = this.#unloadable === structure ? [UNLOADABLE] : [];
    this.#tell([...troubles, ...plan.troubles, ...unloadable]);
    this.#tally = { ...this.#tally, applied: this.#tally.applied + 1 };
    if (how === null) return;
    const tookMs = Math.round((clock.monotonicMs() - startedMs) * 10) / 10;
    this.#tally = { ...this.#tally, lastChange: { atMs: clock.now(), tookMs, how } };
    this.#options.log.info({ how, tookMs }, 'haproxy serves the endpoints as they are now');
  }

  async #decide(endpoints: readonly EndpointView[]): Promise<{
    readonly plan: Plan;
    readonly certificates: Certificates | null;
    readonly troubles: readonly Trouble[];
  }> {
    const { settings, clock } = this.#options;
    const addresses = await this.#names.find(endpoints);
    const read = (await this.#certificates?.read()) ?? null;
    const before = this.#loaded?.plan ?? { ...EMPTY_PLAN, holders: this.#holdersBefore };
    const input = { endpoints, addresses, settings, before, nowMs: clock.now() };
    const open = nextPlan({ ...input, refused: new Map() });
    const refused = await this.#refusedPorts(open);
    const plan = refused.size === 0 ? open : nextPlan({ ...input, refused });
    return { plan, certificates: read?.certificates ?? null, troubles: read?.troubles ?? [] };
  }

  /** Of those that haproxy doesn't listen on yet. */
  async #refusedPorts({ ports }: Plan): Promise<ReadonlyMap<number, string>> {
    const { serviceHost: host } = this.#options.settings;
    const refused = new Map<number, string>();
    const asked = ports.filter(({ port }) => !this.#listening.has(port));
    const answers = await Promise.all(asked.map(({ port }) => whyNotListening({ host, port })));
    for (const [index, { port }] of asked.entries()) {
      const why = answers[index] ?? null;
      if (why !== null) refused.set(port, why);
    }
    return refused;
  }

  /** In words how it was done; null: there was nothing to do, or it failed and has been told. */
  async #bringAbout(wanted: Loaded, signal: AbortSignal): Promise<string | null> {
    if (this.#haproxy === null) return await this.#launch(wanted, signal);
    const loaded = this.#loaded;
    if (loaded !== null && loaded.structure === wanted.structure) return await this.#command(loaded, wanted);
    if (this.#unloadable !== wanted.structure && (await this.#reload(this.#haproxy, wanted))) return 'reload';
    if (loaded === null) return null;
    const plan = withinStructure(loaded.plan, wanted.plan);
    return await this.#command(loaded, { ...loaded, plan });
  }

  async #command(loaded: Loaded, wanted: Loaded): Promise<string | null> {
    const commands = commandsBetween(loaded.plan, wanted.plan);
    this.#loaded = wanted;
    if (commands.length === 0 || this.#haproxy === null) return null;
    try {
      await this.#haproxy.carryOut(commands);
      await this.#folder.put(this.#configurationOf(wanted));
    } catch (error) {
      this.#options.log.warn({ why: wordsOf(error) }, 'haproxy would not take a change of servers; it is reloaded');
      return (await this.#reload(this.#haproxy, wanted)) ? 'reload' : null;
    }
    this.#tally = { ...this.#tally, commands: this.#tally.commands + commands.length };
    return 'commands';
  }

  /** Whether it serves it now. If not, it goes on with what it had, and so do the files. */
  async #reload(haproxy: Haproxy, wanted: Loaded): Promise<boolean> {
    const { log } = this.#options;
    const configuration = this.#configurationOf(wanted);
    const fault = await this.#fault(configuration);
    try {
      if (fault !== null) throw new HaproxyError(fault);
      await this.#folder.takeCandidate();
      await haproxy.reload(configuration.id);
    } catch (error) {
      this.#unloadable = wanted.structure;
      log.error({ why: wordsOf(error) }, 'haproxy can not load the new configuration; the last good one goes on');
      if (this.#loaded !== null) await this.#folder.put(this.#configurationOf(this.#loaded));
      return false;
    }
    await this.#nowLoaded(wanted, configuration);
    this.#tally = { ...this.#tally, reloads: this.#tally.reloads + 1 };
    return true;
  }

  async #launch(wanted: Loaded, signal: AbortSignal): Promise<string | null> {
    const { log } = this.#options;
    if (!(await this.#pausedAfterFailures(signal))) return null;
    const configuration = this.#configurationOf(wanted);
    try {
      const fault = await this.#fault(configuration);
      if (fault !== null) throw new HaproxyError(fault);
      await this.#folder.takeCandidate();
      this.#adopt(await Haproxy.start(this.#haproxyOptions, this.#startWith(configuration.id)));
    } catch (error) {
      this.#failures += 1;
      log.error({ why: wordsOf(error) }, 'haproxy does not start; it is tried again');
      this.#wake.resolve();
      return null;
    }
    await this.#nowLoaded(wanted, configuration);
    return 'start';
  }

  async #nowLoaded(wanted: Loaded, configuration: Configuration): Promise<void> {
    this.#loaded = wanted;
    this.#listening = new Set(wanted.plan.ports.map(({ port }) => port));
    await this.#folder.tidy(configuration);
  }

  /** False: it is to end meanwhile. */
  async #pausedAfterFailures(signal: AbortSignal): Promise<boolean> {
    const { clock, random } = this.#options;
    if (this.#failures > 0) {
      await sleep(clock, jitteredBackoffMs(RESTARTS, this.#failures - 1, random.next()), signal);
    }
    return !signal.aborted;
  }

  /**
   * With what an earlier balancer has left in the folder, so that requests are served while the control plane is away. Whether it is
   * served.
   */
  async #serveFromBefore(): Promise<boolean> {
    const { log } = this.#options;
    const present = await this.#folder.readPresent();
    if (present === null) return false;
    this.#holdersBefore = present.holders;
    try {
      this.#adopt(await Haproxy.start(this.#haproxyOptions, this.#startWith(present.id)));
    } catch (error) {
      log.warn({ why: wordsOf(error) }, 'haproxy does not start with what it served before; the endpoints are awaited');
      return false;
    }
    this.#listening = new Set(present.ports);
    log.info({}, 'haproxy serves what it served before, until the endpoints are known');
    return true;
  }

  async #requireListeners(): Promise<void> {
    const { http, https } = this.#options.settings;
    for (const address of [http, https]) {
      const why = address === null ? null : await whyNotListening(address);
      if (why !== null) throw new HaproxyError(`virtual hosts can't be served on port ${address?.port}: ${why}`);
    }
  }

  #configurationOf({ plan, certificates }: Loaded): Configuration {
    return configurationOf(plan, this.#options.settings, certificates);
  }

  #startWith(id: string) {
    return { config: this.#folder.configPath, id };
  }

  #adopt(haproxy: Haproxy): void {
    const { clock, log } = this.#options;
    const startedMs = clock.monotonicMs();
    this.#haproxy = haproxy;
    void haproxy.ended.then((how) => {
      if (this.#haproxy !== haproxy) return;
      this.#haproxy = null;
      this.#listening = new Set();
      this.#failures = clock.monotonicMs() - startedMs > STEADY_MS ? 0 : this.#failures + 1;
      this.#tally = { ...this.#tally, restarts: this.#tally.restarts + 1 };
      log.error({ how }, 'haproxy has ended; it is started again');
      this.#wake.resolve();
    });
  }

  async #fault(configuration: Configuration): Promise<string | null> {
    const candidate = await this.#folder.putCandidate(configuration);
    return await Haproxy.validate(this.#haproxyOptions, candidate);
  }

  #tell(troubles: readonly Trouble[]): void {
    const { log } = this.#options;
    const { begun, over } = troubleNews(this.#troubles, troubles);
    for (const { service, message } of begun) log.warn({ service }, message);
    for (const { service, message } of over) log.info({ service }, `no longer: ${message}`);
    this.#troubles = troubles;
  }
}

const UNLOADABLE: Trouble = {
  service: null,
  message: 'haproxy refuses the configuration that is wanted (its words are in the log); the last good one goes on',
};

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
