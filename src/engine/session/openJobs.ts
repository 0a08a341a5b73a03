import { ObjectKind, PodGroupFlag, Preemptibility } from '../../base/codes.ts';
import type { SchedulerConfig } from '../../base/config.ts';
import type { SchedulingCondition, SubGroup, TopologyConstraint } from '../../base/objects.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { type GroupConstraint, resolveConstraint, type TopologyLevel } from '../topology/levels.ts';
import { shardFilter } from './openQueues.ts';
import type { JobTable, SubGroupMember, SubGroupSet } from './session.ts';

/** Jobs and, per job, the pod sets that its tree has; pods are attached later. */
export interface JobList {
  readonly jobs: JobTable;
  readonly setJob: Int32Array;
  readonly setMin: Int32Array;
  readonly setName: readonly string[];
  /** Job by the pod group's key text, −1 = none. */
  readonly ofText: Int32Array;
}

/** Adds a pod set to the job that is being read; gives its number. */
type AddSet = (name: string, min: number, constraint: GroupConstraint | null) => number;

const DEFAULT_PRIORITY = 50;
const NON_PREEMPTIBLE_PRIORITY = 100;

/** Reads the pod groups of the shard (spec 02 section 4, 03 section 2.6). */
export function openJobs(
  view: SnapshotView,
  config: SchedulerConfig,
  queueOfText: Int32Array,
  topologies: ReadonlyMap<string, readonly TopologyLevel[]>,
): JobList {
  const inShard = shardFilter(view, config);
  const c = view.podGroups;
  const rows: number[] = [];
  for (let row = 0; row < c.rows; row++) {
    if (c.used[row] === 1 && inShard(c.poolText[row]!) && !isBackedOff(view, config, row)) rows.push(row);
  }
  const count = rows.length;
  const classes = priorityClasses(view);
  const tree = new Map<number, SubGroupSet>();
  const invalid = new Map<number, string>();
  const rootConstraint = new Map<number, GroupConstraint>();
  const setConstraint = new Map<number, GroupConstraint>();
  const jobs = {
    count,
    row: Int32Array.from(rows),
    queue: new Int32Array(count),
    priority: new Int32Array(count),
    isPreemptible: new Uint8Array(count),
    createdMs: new Float64Array(count),
    firstSet: new Int32Array(count),
    setCount: new Int32Array(count),
    tree,
    rootNeed: new Int32Array(count),
    rootConstraint,
    setConstraint,
    invalid,
  };
  const setJob: number[] = [];
  const setMin: number[] = [];
  const setName: string[] = [];
  const ofText = new Int32Array(view.texts.capacity).fill(-1);
  for (let j = 0; j < count; j++) {
    const row = rows[j]!;
    ofText[c.keyText[row]!] = j;
    const queue = c.queueText[row]! === NO_ROW ? -1 : queueOfText[c.queueText[row]!]!;
    jobs.queue[j] = queue;
    jobs.createdMs[j] = Number.isNaN(c.createdMs[row]!) ? 0 : c.createdMs[row]!;
    if (queue >= 0) {
      const priority = classes.byText.get(c.priorityClassText[row]!) ?? classes.fallback;
      jobs.priority[j] = priority;
      const code = c.preemptibilityCode[row]!;
      const derived = priority < NON_PREEMPTIBLE_PRIORITY;
      jobs.isPreemptible[j] = (code === Preemptibility.derived ? derived : code === Preemptibility.preemptible) ? 1 : 0;
    }
    jobs.firstSet[j] = setJob.length;
    const addSet: AddSet = (name, min, constraint) => {
      if (constraint !== null) setConstraint.set(setJob.length, constraint);
      setJob.push(j);
      setMin.push(min);
      setName.push(name);
      return setJob.length - 1;
    };
    const topologyText = c.topologyJson[row]!;
    if (topologyText !== NO_ROW) {
      const constraint = resolveConstraint(topologies, JSON.parse(view.texts.get(topologyText)) as TopologyConstraint);
      if (constraint !== null) rootConstraint.set(j, constraint);
    }
    jobs.rootNeed[j] = c.minSubGroup[row]! >= 0 ? c.minSubGroup[row]! : 1;
    const text = c.subGroupsJson[row]!;
    if ((c.flags[row]! & PodGroupFlag.invalidTree) !== 0) {
      invalid.set(j, 'sub-groups of the pod group cannot be read');
      addSet('default', 1, null);
    } else if (text === NO_ROW) addSet('default', c.minMember[row]! >= 0 ? c.minMember[row]! : 1, null);
    else {
      const built = buildTree(JSON.parse(view.texts.get(text)) as SubGroup[], c.minSubGroup[row]!, topologies, addSet);
      if (typeof built === 'string') {
        invalid.set(j, built);
        addSet('default', 1, null);
      } else if (setJob.length === jobs.firstSet[j]!) addSet('default', 1, null);
      else tree.set(j, built);
    }
    jobs.setCount[j] = setJob.length - jobs.firstSet[j]!;
  }
  return { jobs, setJob: Int32Array.from(setJob), setMin: Int32Array.from(setMin), setName, ofText };
}

/** Values by name text, and the value where none is named or found (spec 01 section 4.2, highest global default). */
function priorityClasses(view: SnapshotView): { byText: Map<number, number>; fallback: number } {
  const byText = new Map<number, number>();
  let fallback = Number.NaN;
  const o = view.objects;
  for (let row = 0; row < o.rows; row++) {
    if (o.used[row] !== 1 || o.kindCode[row] !== ObjectKind.priorityClass) continue;
    const spec = JSON.parse(view.texts.get(o.specJson[row]!)) as { value?: number; globalDefault?: boolean };
    const value = spec.value ?? 0;
    byText.set(o.keyText[row]!, value);
    if (spec.globalDefault === true && !(value <= fallback)) fallback = value;
  }
  return { byText, fallback: Number.isNaN(fallback) ? DEFAULT_PRIORITY : fallback };
}

/** `schedulingBackoff` set and the newest condition names this pool (spec 01 section 5.4). */
function isBackedOff(view: SnapshotView, config: SchedulerConfig, row: number): boolean {
  const c = view.podGroups;
  if (c.schedulingBackoff[row]! === -1 || c.conditionsJson[row]! === NO_ROW) return false;
  const conditions = JSON.parse(view.texts.get(c.conditionsJson[row]!)) as SchedulingCondition[];
  let last: SchedulingCondition | null = null;
  let lastId = Number.NEGATIVE_INFINITY;
  for (const condition of conditions) {
    const id = /^\d+$/.test(condition.transitionID ?? '') ? Number(condition.transitionID) : -1;
    if (id > lastId) {
      lastId = id;
      last = condition;
    }
  }
  const pool = config.params.nodePoolLabelValue === '' ? 'default' : config.params.nodePoolLabelValue;
  return last !== null && last.nodePool === pool;
}

/**
 * Builds the tree of a job with sub-groups; the message when it is malformed (spec 06 section 2). A cycle is detached from
 * the root and drops out; if no leaf is reachable, nothing is added.
 */
function buildTree(
  subGroups: readonly SubGroup[],
  rootNeed: number,
  topologies: ReadonlyMap<string, readonly TopologyLevel[]>,
  addSet: AddSet,
): SubGroupSet | string {
  const names = new Set<string>();
  const children = new Map<string, SubGroup[]>([['', []]]);
  for (const g of subGroups) {
    if (names.has(g.name)) return `subgroup <${g.name}> already exists`;
    names.add(g.name);
  }
  for (const g of subGroups) {
    const parent = g.parent ?? '';
    if (parent !== '' && !names.has(parent)) return `parent subgroup <${parent}> of <${g.name}> not found`;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [g]);
    else siblings.push(g);
  }
  const build = (name: string, need: number, constraint: GroupConstraint | null): SubGroupSet => {
    const members = (children.get(name) ?? [])
      .slice()
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((g): SubGroupMember => {
        if (children.has(g.name))
          return { name: g.name, set: build(g.name, g.minSubGroup ?? -1, resolveConstraint(topologies, g.topologyConstraint)), podSet: -1 };
        return {
          name: g.name,
          set: null,
          podSet: addSet(g.name, Math.max(g.minMember ?? 0, 0), resolveConstraint(topologies, g.topologyConstraint)),
        };
      });
    return { name, need: need >= 0 ? need : members.length, members, ...(constraint === null ? {} : { constraint }) };
  };
  return build('', rootNeed, null);
}
