// Follows the engine through the victim actions: who is served in which order, whether each answer keeps the contract, and
// whether those who got nothing can get nothing.
import type { CycleReport, Decision } from '../../src/base/decisions.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import { allocate, openSession, type Session } from './allocate.ts';
import type { TestCluster } from './clusters.ts';
import { replay } from './contract.ts';
import type { Attempt, VictimAction } from './eligible.ts';
import { evict } from './evict.ts';
import { referenceSearch } from './reference.ts';
import { type Segment, segmentsOf } from './segments.ts';
import { staleness } from './stale.ts';
import type { State, TaskState } from './types.ts';
import type { Unit } from './units.ts';
import { type Answer, ownAnswer, serveInOrder, withoutVictims } from './victimActions.ts';
import { allUnits } from './victimOrder.ts';
import { openWorld } from './world.ts';

export interface Followed {
  /** Broken rules. */
  readonly findings: string[];
  /** Jobs that got nothing although the reference's search serves them, and units that could have stayed. */
  readonly shortfalls: string[];
  /** Other victims than those of the reference's search that are not as good, although they keep the contract. */
  readonly open: string[];
  readonly counts: Counts;
}

export interface Counts {
  /** Jobs that were tried, those that the engine served, and those that the reference's search would have served too. */
  attempts: number;
  served: number;
  servedByBoth: number;
  /** Pods that lost their place, and of these those with another one. */
  leaving: number;
  moved: number;
  /** Pods without a place, by the engine and by the reference's search, where both serve. */
  deleted: number;
  deletedByReference: number;
  staleEvicted: number;
}

export interface EngineResult {
  readonly decisions: readonly Decision[];
  readonly report: CycleReport;
  readonly view: SnapshotView;
}

export function emptyCounts(): Counts {
  return { attempts: 0, served: 0, servedByBoth: 0, leaving: 0, moved: 0, deleted: 0, deletedByReference: 0, staleEvicted: 0 };
}

class Follower {
  readonly #session: Session;
  readonly #engine: EngineResult;
  /** Jobs that lost pods, and pods whose bind was taken back or promise lost, in this cycle. */
  readonly #robbed = new Set<string>();
  readonly #takenBack = new Set<string>();
  /** Places that evicted pods had. */
  readonly #left = new Map<string, TaskState>();
  readonly findings: string[] = [];
  readonly shortfalls: string[] = [];
  readonly open: string[] = [];
  readonly counts = emptyCounts();

  constructor({ objects, config }: TestCluster, nowMs: number, engine: EngineResult) {
    const { world, state } = openWorld(objects, config, nowMs);
    this.#session = openSession(world, state);
    this.#engine = engine;
  }

  run(): void {
    const { actions } = this.#session.world.config;
    for (const action of actions) {
      if (action === 'allocate') this.#allocate();
      else if (action === 'stalegangeviction') this.#evictStale();
      else this.#followAction(action as VictimAction);
      // What comes after would be compared with another state.
      if (this.findings.length > 0) return;
    }
    this.#checkBinds();
    this.#checkReport();
  }

  /** The twin's own placements, with the engine's names for new GPU groups. */
  #allocate(): void {
    allocate(this.#session);
    const names = new Map<string, string>();
    for (const { task, groups } of this.#session.placements) {
      const decision = this.#engine.decisions.find(({ pod, action }) => pod === task.key && action === 'allocate');
      groups.forEach((group, i) => {
        const name = decision?.gpuGroups[i];
        if (name !== undefined) names.set(group, name);
      });
    }
    renameGroups(this.#session.state, names);
  }

  #followAction(action: VictimAction): void {
    const session = this.#session;
    const segments = segmentsOf(this.#engine.decisions, action);
    let at = 0;
    serveInOrder(session, action, this.#robbed, (attempt, gate) => {
      if (this.findings.length > 0) return;
      const segment = segments[at];
      const what = `${action} for ${attempt.job.key}`;
      if (gate === null) this.counts.attempts++;
      if (segment?.preemptor === attempt.job.key) {
        at++;
        if (gate !== null) this.findings.push(`${what}: R1: ${gate}`);
        this.#followAnswer(attempt, segment, what);
      } else if (gate === null) {
        const own = ownAnswer(attempt, session);
        if (own !== null) this.#noteUnserved(attempt, own, what);
      }
    });
    const rest = segments.slice(at).map(({ preemptor }) => preemptor);
    if (rest.length > 0 && this.findings.length === 0) this.findings.push(`${action}: R10: not their turn: ${rest.join(', ')}`);
  }

  /** Served by the reference's search, not by the engine: a shortfall, unless a rule that is left open explains it. */
  #noteUnserved(attempt: Attempt, own: Answer, what: string): void {
    const session = this.#session;
    const strict = ownAnswer(attempt, session, 'evictedOnly');
    const text = `${what}: not served; ${describe((strict ?? own).units)} would do`;
    if (strict === null) this.open.push(`${text} (victims return without their waiting pods: section 5.5 item 2, R4)`);
    else if (!this.#isInUnitOrder(attempt, strict.units))
      this.open.push(`${text} (not in the order of the job's units: R3, section 5.4.2)`);
    else this.shortfalls.push(text);
  }

  /** Of each job the first units go; the reference's second generator takes those of its nodes only. */
  #isInUnitOrder(attempt: Attempt, units: readonly Unit[]): boolean {
    const all = allUnits(attempt, this.#session.state, 'beforeMembers');
    const keyOf = ({ tasks }: Unit): string => tasks.map(({ key }) => key).join();
    const gone = new Set(units.map(keyOf));
    const jobs = new Set(units.map(({ job }) => job));
    return [...jobs].every((job) => {
      const own = all.filter((unit) => unit.job === job).map((unit) => gone.has(keyOf(unit)));
      return own.lastIndexOf(true) + 1 === own.filter(Boolean).length;
    });
  }

  #followAnswer(attempt: Attempt, segment: Segment, what: string): void {
    const session = this.#session;
    const { counts } = this;
    const { state, problems, needless, units, deleted } = replay(attempt, session, segment, this.#left);
    this.findings.push(...problems.map((problem) => `${what}: ${problem}`));
    this.shortfalls.push(...needless.map((unit) => `${what}: section 12.5: could stay: ${unit}`));
    counts.served++;
    counts.leaving += segment.leaving.length;
    counts.moved += segment.leaving.length - deleted.size;
    if (segment.leaving.length > 0) {
      if (withoutVictims(attempt, session) !== null) this.findings.push(`${what}: R9: fits without victims`);
      const reference = referenceSearch(attempt, session);
      if (reference !== null) {
        counts.servedByBoth++;
        counts.deleted += deleted.size;
        counts.deletedByReference += reference.deleted.size;
        if (deleted.size > reference.deleted.size) {
          this.open.push(
            `${what}: ${deleted.size} pods without a place (${describe(units)}), by the reference's search ${reference.deleted.size} (${describe(reference.units)})`,
          );
        }
        const order = allUnits(attempt, session.state, 'beforeMembers').flatMap(({ tasks }, i) =>
          tasks.map(({ key }) => [key, i] as const),
        );
        const index = new Map(order);
        const last = (all: typeof units): number =>
          Math.max(-1, ...all.flatMap(({ tasks }) => tasks.map(({ key }) => index.get(key) ?? -1)));
        if (last(units) > last(reference.units)) {
          this.open.push(
            `${what}: takes unit ${last(units)} (${describe(units)}), the reference's search none after ${last(reference.units)} (${describe(reference.units)})`,
          );
        }
      }
    }
    for (const { pod, isBind } of segment.leaving) {
      const held = session.state.tasks.get(pod);
      if (held !== undefined && !isBind) this.#left.set(pod, held);
      if (isBind) this.#takenBack.add(pod);
      else this.#robbed.add(session.world.jobOf.get(pod)?.key ?? '');
    }
    for (const pod of segment.lostPromises) this.#takenBack.add(pod);
    session.state = state;
  }

  /** Exactly the pods that are to go (spec 04 section 9). */
  #evictStale(): void {
    const { world, state } = this.#session;
    const { decisions, report, view } = this.#engine;
    const bound = new Set(this.#session.placements.filter(({ kind }) => kind === 'bind').map(({ task }) => task.key));
    const since = new Map(report.jobs.map((job) => [view.texts.get(view.podGroups.keyText[job.podGroupRow]!), job.staleSinceMs]));
    const wanted = new Set<string>();
    for (const { job, sinceMs, tasks } of staleness(world, state)) {
      if (!Object.is(since.get(job.key), sinceMs)) this.findings.push(`${job.key}: stale since ${sinceMs}; engine ${since.get(job.key)}`);
      for (const task of tasks) {
        const isBind = state.tasks.get(task.key)!.status === 'allocated' && bound.has(task.key);
        evict(world, state, task);
        this.#robbed.add(job.key);
        if (isBind) this.#takenBack.add(task.key);
        else wanted.add(task.key);
      }
    }
    const evicted = new Set(
      decisions.filter(({ action, kind }) => action === 'stalegangeviction' && kind === 'evict').map(({ pod }) => pod),
    );
    for (const pod of wanted) if (!evicted.has(pod)) this.findings.push(`stale gang: ${pod} must go`);
    for (const pod of evicted) if (!wanted.has(pod)) this.findings.push(`stale gang: ${pod} must stay`);
    this.counts.staleEvicted += evicted.size;
  }

  /** What is left of the binds and promises of the allocate action after all others. */
  #checkBinds(): void {
    const { world, placements } = this.#session;
    const own = this.#engine.decisions.filter(({ action }) => action === 'allocate');
    const found = new Map(own.map((decision) => [decision.pod, decision]));
    const touched = new Set([...[...this.#takenBack].map((pod) => world.jobOf.get(pod)!.key), ...this.#robbed]);
    for (const { task, job, node, kind } of placements) {
      const decision = found.get(task.key);
      found.delete(task.key);
      if (decision === undefined) {
        if (!this.#takenBack.has(task.key)) this.findings.push(`allocate: ${kind} of ${task.key} on ${node.name} is missing`);
        continue;
      }
      const isOpen = touched.has(job.key);
      if (this.#takenBack.has(task.key) && decision.kind === 'bind') this.findings.push(`allocate: bind of ${task.key} was taken back`);
      if (decision.node !== node.name || (decision.kind !== kind && !isOpen)) {
        this.findings.push(`allocate: ${task.key}: ${kind} on ${node.name}; engine ${decision.kind} on ${decision.node}`);
      }
    }
    for (const pod of found.keys()) this.findings.push(`allocate: ${pod} gets nothing`);
  }

  /** Queue sums, and the times that the cycle writes down. */
  #checkReport(): void {
    const { world, state } = this.#session;
    const { report, view } = this.#engine;
    for (const { queue, allocatedMilliCpu, allocatedMemoryBytes, allocatedGpu } of report.queues) {
      const own = state.queues.get(queue)?.allocated;
      const engine = [allocatedMilliCpu, allocatedMemoryBytes, Math.round(allocatedGpu * 1000)];
      if (own !== undefined && [own.cpu, own.memory, own.gpu].join() !== engine.join()) {
        this.findings.push(`queue ${queue}: ${[own.cpu, own.memory, own.gpu].join()}; engine ${engine.join()}`);
      }
    }
    const times = new Map(report.jobs.map((job) => [view.texts.get(view.podGroups.keyText[job.podGroupRow]!), job.lastEvictionMs]));
    for (const { key } of world.jobs) {
      const wanted = this.#robbed.has(key) ? world.nowMs : undefined;
      if (times.get(key) !== wanted) this.findings.push(`${key}: last eviction ${wanted}; engine ${times.get(key)}`);
    }
  }
}

function describe(units: readonly { readonly tasks: readonly { readonly key: string }[] }[]): string {
  return units.length === 0 ? 'nobody' : units.map(({ tasks }) => tasks.map(({ key }) => key).join('+')).join(', ');
}

function renameGroups(state: State, names: ReadonlyMap<string, string>): void {
  const rename = (name: string): string => names.get(name) ?? name;
  for (const held of state.tasks.values()) held.groups = held.groups.map(rename);
  for (const node of state.nodes.values()) node.groups = new Map([...node.groups].map(([name, group]) => [rename(name), group]));
}

/** Compares what the engine decided in the victim actions with the rules. */
export function follow(cluster: TestCluster, nowMs: number, engine: EngineResult): Followed {
  const follower = new Follower(cluster, nowMs, engine);
  follower.run();
  return follower;
}
