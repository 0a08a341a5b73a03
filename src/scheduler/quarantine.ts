// A job that makes the engine fail steps aside for a while, and all others are served. Mostly the engine names it; when a cycle fails
// each time without a name (a crash, a hang), bisection over the waiting jobs finds it.
import type { Clock } from '../kubernetes/clock.ts';
import type { ClusterState } from './clusterState.ts';

const FIRST_MS = 60_000;
const MAX_MS = 3_600_000;

interface Offender {
  /** Of the pod group: one that is made again under its name is another job. */
  readonly uid: string | undefined;
  /** 0 = it may be tried again. */
  untilMs: number;
  failures: number;
}

/** Cycles with the first `served` groups visible succeed, with the first `failing` ones they fail. */
interface Search {
  readonly groups: readonly string[];
  served: number;
  failing: number;
  /** Groups visible in the cycle that runs now. */
  visible: number;
}

export interface QuarantineOptions {
  readonly state: Pick<ClusterState, 'waitingGroups' | 'hideGroups' | 'group'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** The job that makes the engine fail; it is not tried for `pauseMs`. */
  readonly onFound: (groupKey: string, error: unknown, pauseMs: number) => void;
}

export class Quarantine {
  readonly #options: QuarantineOptions;
  readonly #offenders = new Map<string, Offender>();
  #search: Search | null = null;
  #error: unknown;

  constructor(options: QuarantineOptions) {
    this.#options = options;
  }

  /** To be called after a failed cycle. True: another cycle is worth running at once. False: no job is to blame. */
  failed(error: unknown): boolean {
    const search = this.#search;
    this.#error = error;
    if (search === null) {
      const groups = this.#options.state.waitingGroups().filter((group) => !this.#isAside(group));
      // First without any of them: it may fail whoever waits.
      this.#search = { groups, served: -1, failing: groups.length, visible: 0 };
      this.#hide();
      return groups.length > 0;
    }
    search.failing = search.visible;
    if (search.failing === 0) {
      this.#search = null;
      this.#hide();
      return false;
    }
    this.#narrow(search);
    return true;
  }

  /** The engine names this job; the cycle went on without it. True: another cycle is worth running at once. */
  blame(group: string, error: unknown): boolean {
    // What runs cannot be hidden: it may be named again, and was told of it.
    if (this.#isAside(group)) return false;
    this.#setAside(group, error);
    // A search that goes on may have been about this job: without it there may be nobody to find.
    const isSearchOver = this.#search !== null;
    this.#search = null;
    this.#hide();
    return isSearchOver;
  }

  /** When the next job may be tried again, on the monotonic clock. */
  dueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.#offenders.values()) if (untilMs > 0) dueMs = Math.min(dueMs, untilMs);
    return dueMs;
  }

  /** To be called after a cycle that succeeded. True: another one is worth running at once. */
  succeeded(): boolean {
    if (this.#search !== null) {
      this.#search.served = this.#search.visible;
      this.#narrow(this.#search);
      return true;
    }
    return this.#release();
  }

  #narrow(search: Search): void {
    if (search.failing - search.served > 1) search.visible = (search.served + search.failing) >> 1;
    else {
      this.#search = null;
      this.#setAside(search.groups[search.failing - 1]!, this.#error);
    }
    this.#hide();
  }

  #setAside(group: string, error: unknown): void {
    const { clock, onFound } = this.#options;
    const failures = (this.#offenders.get(group)?.failures ?? 0) + 1;
    const pauseMs = Math.min(MAX_MS, FIRST_MS * 2 ** (failures - 1));
    this.#offenders.set(group, { uid: this.#uidOf(group), untilMs: clock.monotonicMs() + pauseMs, failures });
    onFound(group, error, pauseMs);
  }

  #isAside(group: string): boolean {
    return (this.#offenders.get(group)?.untilMs ?? 0) > this.#options.clock.monotonicMs();
  }

  #uidOf(group: string): string | undefined {
    return this.#options.state.group(group)?.metadata.uid;
  }

  /** Those whose time is over get another try, those that are gone are forgotten. True when there are some. */
  #release(): boolean {
    let isChanged = false;
    for (const [group, offender] of this.#offenders) {
      if (offender.uid !== this.#uidOf(group)) {
        this.#offenders.delete(group);
        isChanged = true;
        continue;
      }
      if (offender.untilMs === 0 || offender.untilMs > this.#options.clock.monotonicMs()) continue;
      offender.untilMs = 0;
      isChanged = true;
    }
    if (isChanged) this.#hide();
    return isChanged;
  }

  #hide(): void {
    const hidden = [...this.#offenders.keys()].filter((group) => this.#isAside(group));
    if (this.#search !== null) hidden.push(...this.#search.groups.slice(this.#search.visible));
    this.#options.state.hideGroups(new Set(hidden));
  }
}
