// Reads a scheduler's decisions out of what the API server shows and has the independent auditor of src/audit judge them: each
// binding on the objects as they were just before it, each eviction with whom it was said to serve, each gang with all its bindings.
import { type AuditDecision, type AuditInput, auditCycle, formatFinding, type RuleId } from '../../../src/audit/audit.ts';
import { devicesOf } from '../../../src/audit/claims.ts';
import { gangProblem } from '../../../src/audit/gangs.ts';
import { readNodes } from '../../../src/audit/nodes.ts';
import { devicePortion, readRequest } from '../../../src/audit/requests.ts';
import { readTree } from '../../../src/audit/tree.ts';
import { ReceivedType } from '../../../src/base/codes.ts';
import type { SchedulerConfig, SchedulerParams } from '../../../src/base/config.ts';
import type { BindRequest, Node, Pod, PodGroup } from '../../../src/base/objects.ts';
import { loadConfig } from '../../../src/config/loadConfig.ts';
import { snapshotOptionsFrom } from '../../../src/config/schedulerParams.ts';
import type { KubeObject } from './apiClient.ts';
import { type Change, Moment } from './history.ts';
import { keyOf } from './watcher.ts';

/** An event `Evict` on a pod group: whom the eviction serves. */
export interface EvictEvent {
  /** UID of the pod group. */
  readonly groupUid: string;
  readonly action: string;
  /** "namespace/name", '' = nobody. */
  readonly evictor: string;
}

export interface DecisionAuditInput {
  readonly begin: Moment;
  /** In the server's order. */
  readonly changes: readonly Change[];
  /** Paths of pods that the scheduler's account has deleted, from the server's request log. */
  readonly deletedPaths: ReadonlySet<string>;
  readonly evictEvents: readonly EvictEvent[];
  /** Flags other than the default ones. */
  readonly params?: Partial<SchedulerParams>;
  /** Decisions are BindRequests; else they are bindings, and BindRequests are somebody else's. */
  readonly isBinderSeparate?: boolean;
  readonly isDraServed?: boolean;
}

/** Decisions may rest on an environment that is so old: the watch of the scheduler lags under load and faults. */
const LAG_MS = 10_000;
const SCHEDULER_NAME = 'kai-scheduler';
const ACTIONS = ['allocate', 'consolidation', 'reclaim', 'preempt', 'stalegangeviction'];
const RECEIVED: Readonly<Record<string, number>> = {
  Regular: ReceivedType.regular,
  Fraction: ReceivedType.fraction,
  MigInstance: ReceivedType.migInstance,
};
/** Of a gang's bindings taken one by one; gangs are judged apart. */
const OF_WHOLE_GANGS: ReadonlySet<RuleId> = new Set<RuleId>(['partial-gang', 'bound-while-waiting']);
/** Rules of evictions that need neither the places that they were for, which nobody sees, nor the fair shares of that moment. */
const OF_EVICTIONS: ReadonlySet<RuleId> = new Set<RuleId>([
  'victim-not-preemptible',
  'victim-queue',
  'victim-priority',
  'victim-protected',
  'partial-unit',
  'wrong-evictor',
  'evictor-delayed',
  'evictor-not-preemptible',
  'not-stale',
  'stale-grace',
]);

/** Not yet there, or not yet running: that moment says nothing about its eviction. */
const WITHOUT_VICTIM: ReadonlySet<RuleId> = new Set<RuleId>(['unknown-object', 'wrong-state']);

type PodObject = Pod & KubeObject;
type GroupObject = PodGroup & KubeObject;

/** A pod got its node. */
interface Placement {
  /** Of the change that shows it. */
  readonly at: number;
  readonly pod: PodObject;
  readonly decision: AuditDecision;
}

interface Eviction {
  readonly at: number;
  readonly pod: PodObject;
  readonly group: GroupObject;
}

/** One line per rule that was broken; empty when all is well. A gang of which bindings are still under way is told as partial. */
export function auditDecisions(input: DecisionAuditInput): string[] {
  const audit = new DecisionAudit(input);
  return [...new Set([...audit.placements(), ...audit.gangs(), ...audit.evictions(), ...audit.devices()])];
}

class DecisionAudit {
  readonly #input: DecisionAuditInput;
  readonly #placements: Placement[] = [];
  readonly #evictions: Eviction[] = [];
  /** Per pod group UID the pods that went without ever having had a node, with the change that shows it. */
  readonly #lost = new Map<string, { readonly at: number; readonly pod: PodObject }[]>();
  readonly #configs = new Map<string, SchedulerConfig>();

  constructor(input: DecisionAuditInput) {
    this.#input = input;
    const moment = new Moment(input.begin);
    input.changes.forEach((change, at) => {
      this.#read(change, at, moment);
      moment.apply(change);
    });
  }

  /** `moment`: before the change. */
  #read(change: Change, at: number, moment: Moment): void {
    const { list, type, object } = change;
    if (list === 'bindRequests' && type === 'ADDED' && this.#input.isBinderSeparate === true) this.#readRequest(object, at, moment);
    if (list !== 'pods' || (object as PodObject).spec.schedulerName !== SCHEDULER_NAME) return;
    const pod = object as PodObject;
    const before = moment.list('pods').get(keyOf(pod)) as PodObject | undefined;
    const group = groupOf(pod, moment);
    if (group === undefined) return;
    const uid = group.metadata.uid ?? '';
    if (type === 'DELETED' && !pod.spec.nodeName) this.#lost.set(uid, [...(this.#lost.get(uid) ?? []), { at, pod }]);
    if (type !== 'MODIFIED' || before === undefined || before.metadata.uid !== pod.metadata.uid) return;
    if (!before.spec.nodeName && pod.spec.nodeName && this.#input.isBinderSeparate !== true) this.#readBinding(before, pod, at, moment);
    if (before.metadata.deletionTimestamp == null && pod.metadata.deletionTimestamp != null && this.#isDeletedByUs(pod))
      this.#evictions.push({ at, pod: before, group });
  }

  #isDeletedByUs({ metadata }: PodObject): boolean {
    return this.#input.deletedPaths.has(`/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`);
  }

  #readBinding(before: PodObject, pod: PodObject, at: number, moment: Moment): void {
    // A pod that began to leave while it was being bound: the server lets it pass.
    if (before.metadata.deletionTimestamp != null || moment.list('bindRequests').has(keyOf(pod))) return;
    const request = readRequest(pod);
    const group = groupOf(pod, moment)!;
    const node = moment.list('nodes').get(`/${pod.spec.nodeName}`) as (Node & KubeObject) | undefined;
    const config = this.#configOf(group);
    const gpuMib =
      node === undefined ? 100 : (readNodes([node], config, this.#options(config), new Map()).get(node.metadata.name)?.gpuMib ?? 100);
    const isShared = request.kind === 'shared';
    this.#placements.push({
      at,
      pod: before,
      decision: {
        kind: 'bind',
        action: 'allocate',
        pod: keyOf(pod),
        podUid: pod.metadata.uid,
        podGroup: keyOf(group),
        node: pod.spec.nodeName ?? '',
        receivedType: RECEIVED[pod.metadata.annotations?.['received-resource-type'] ?? ''] ?? ReceivedType.none,
        // A binding does not show them; with a BindRequest they are checked.
        gpuCount: isShared ? request.devices : request.wholeGpus,
        gpuPortion: String(isShared ? devicePortion(request, gpuMib) : request.wholeGpus > 0 ? 1 : 0),
        gpuGroups: isShared ? labelledGroups(pod) : [],
      },
    });
  }

  #readRequest(object: KubeObject, at: number, moment: Moment): void {
    const { metadata, spec } = object as BindRequest & KubeObject;
    const pod = moment.list('pods').get(`${metadata.namespace}/${spec?.podName}`) as PodObject | undefined;
    const group = pod === undefined ? undefined : groupOf(pod, moment);
    if (pod === undefined || group === undefined || pod.metadata.deletionTimestamp != null) return;
    this.#placements.push({
      at,
      pod,
      decision: {
        kind: 'bind',
        action: 'allocate',
        pod: keyOf(pod),
        podUid: pod.metadata.uid,
        podGroup: keyOf(group),
        node: spec?.selectedNode ?? '',
        receivedType: RECEIVED[spec?.receivedResourceType ?? ''] ?? ReceivedType.none,
        gpuCount: spec?.receivedGPU?.count ?? 0,
        gpuPortion: spec?.receivedGPU?.portion ?? '',
        gpuGroups: spec?.selectedGPUGroups ?? [],
        details: {
          resourceClaimAllocations: spec?.resourceClaimAllocations ?? [],
          extendedResourceClaimAllocation: spec?.extendedResourceClaimAllocation,
        },
      },
    });
  }

  /** Each binding by itself. */
  placements(): string[] {
    const moment = new Moment(this.#input.begin);
    let next = 0;
    return this.#placements.flatMap(({ at, pod, decision }) => {
      while (next < at) moment.apply(this.#input.changes[next++]!);
      const group = groupOf(pod, moment)!;
      const judge = (on: Moment): string[] =>
        this.#audit(on, group, this.#input.changes[at]!.atMs, [decision]).flatMap((f) =>
          OF_WHOLE_GANGS.has(f.rule) ? [] : [formatFinding(f)],
        );
      const found = judge(moment);
      if (found.length === 0) return [];
      // Allowed by what the scheduler may have seen of nodes, queues, groups and other schedulers' pods?
      return this.#recent(at).some((old) => judge(withOwnPods(old, moment)).length === 0) ? [] : found;
    });
  }

  /** Pods of each gang get their nodes together: each binding with all that come after it, and those that went before they could. */
  gangs(): string[] {
    const moment = new Moment(this.#input.begin);
    let next = 0;
    return this.#placements.flatMap(({ at, pod }) => {
      while (next < at) moment.apply(this.#input.changes[next++]!);
      const group = groupOf(pod, moment)!;
      const tree = readTree(group);
      if (tree === null) return [];
      const { uid } = group.metadata;
      const isMember = (other: PodObject): boolean => groupOf(other, moment)?.metadata.uid === uid;
      const active = new Map<string, number>();
      for (const other of moment.list('pods').values() as Iterable<PodObject>) {
        const hasNode =
          Boolean(other.spec.nodeName) || (this.#input.isBinderSeparate === true && moment.list('bindRequests').has(keyOf(other)));
        if (!hasNode || !isMember(other) || other.metadata.deletionTimestamp != null || other.status?.phase === 'Failed') continue;
        active.set(leafOf(other), (active.get(leafOf(other)) ?? 0) + 1);
      }
      const steps = [...this.#placements, ...(this.#lost.get(uid ?? '') ?? [])]
        .filter((step) => step.at >= at && isMember(step.pod))
        .map((step) => ({ leaf: leafOf(step.pod), isBound: true }));
      const problem = gangProblem(tree, { active, waiting: new Map() }, steps);
      return problem === null ? [] : [`${problem.rule}: pod group ${keyOf(group)}: ${problem.message}`];
    });
  }

  /** All evictions for one group by one action together. */
  evictions(): string[] {
    const findings: string[] = [];
    const moment = new Moment(this.#input.begin);
    let next = 0;
    for (const [key, evictions] of this.#attempts()) {
      const [action = '', evictor = ''] = key.split(' ');
      const first = evictions[0]!;
      while (next < first.at) moment.apply(this.#input.changes[next++]!);
      const decisions = evictions.map(({ pod, group }): AuditDecision => {
        const details = evictor === '' ? {} : { details: { evictorPodGroup: evictor } };
        const base = { kind: 'evict', action, pod: keyOf(pod), podGroup: keyOf(group), node: pod.spec.nodeName ?? '' } as const;
        return { ...base, receivedType: ReceivedType.none, gpuCount: 0, gpuPortion: '0.00', gpuGroups: [], ...details };
      });
      const judge = (on: Moment): string[] => {
        const all = this.#audit(on, first.group, this.#input.changes[first.at]!.atMs, decisions);
        return all.flatMap((f) => (OF_EVICTIONS.has(f.rule) || WITHOUT_VICTIM.has(f.rule) ? [formatFinding(f)] : []));
      };
      const found = judge(moment);
      if (found.length > 0 && !this.#recent(first.at).some((old) => judge(old).length === 0)) findings.push(...found);
    }
    return findings;
  }

  /** By "action evictor", in the order of their first eviction. */
  #attempts(): Map<string, Eviction[]> {
    const attempts = new Map<string, Eviction[]>();
    for (const eviction of this.#evictions) {
      const said = this.#input.evictEvents.filter((event) => event.groupUid === eviction.group.metadata.uid);
      // Events are aggregated: with several evictors nobody can tell which pod went for whom.
      const keys = new Set(said.map(({ action, evictor }) => `${action} ${evictor}`));
      if (keys.size !== 1) continue;
      const [key] = keys;
      attempts.set(key!, [...(attempts.get(key!) ?? []), eviction]);
    }
    return new Map([...attempts].sort(([, a], [, b]) => a[0]!.at - b[0]!.at));
  }

  /** No device is allocated to two claims at any time. */
  devices(): string[] {
    const moment = new Moment(this.#input.begin);
    return this.#input.changes.flatMap((change) => {
      moment.apply(change);
      if (change.list !== 'resourceClaims' || change.type === 'DELETED') return [];
      const owners = new Map<string, string>();
      return [...moment.list('resourceClaims')].flatMap(([key, claim]) =>
        devicesOf((claim as { readonly status?: { readonly allocation?: unknown } }).status?.allocation).flatMap((device) => {
          const other = owners.get(device);
          owners.set(device, key);
          return other === undefined ? [] : [`device-twice: claim ${key}: device ${device} is allocated to ${other} as well`];
        }),
      );
    });
  }

  /** The moments before each change of the last seconds, newest first. */
  #recent(at: number): Moment[] {
    const { begin, changes } = this.#input;
    const fromMs = changes[at]!.atMs - LAG_MS;
    const moment = new Moment(begin);
    const recent: Moment[] = [];
    for (let i = 0; i < at; i++) {
      const isEnvironment = changes[i]!.list !== 'pods' || (changes[i]!.object as PodObject).spec.schedulerName !== SCHEDULER_NAME;
      if (changes[i]!.atMs >= fromMs && isEnvironment) recent.push(new Moment(moment));
      moment.apply(changes[i]!);
    }
    return recent.reverse();
  }

  #audit(on: Moment, group: GroupObject, nowMs: number, decisions: readonly AuditDecision[]) {
    const config = this.#configOf(group);
    return auditCycle({ objects: on.objects(), config, nowMs, decisions, options: this.#options(config) });
  }

  /** Of the shard that the group is in. */
  #configOf(group: GroupObject): SchedulerConfig {
    const pool = group.metadata.labels?.['kai.scheduler/node-pool'] ?? '';
    let config = this.#configs.get(pool);
    if (config === undefined) {
      const flags = { nodePoolLabelValue: pool, ...this.#input.params };
      ({ config } = loadConfig({ file: undefined, params: undefined, flags, actions: ACTIONS }));
      this.#configs.set(pool, config);
    }
    return config;
  }

  #options(config: SchedulerConfig): NonNullable<AuditInput['options']> {
    return snapshotOptionsFrom(config.params, { isDraServed: this.#input.isDraServed !== false, isNodeTopologyServed: false });
  }
}

/** The old environment with the scheduler's own pods as they are now. */
function withOwnPods(old: Moment, now: Moment): Moment {
  const mixed = new Moment(old);
  const isOwn = ([, pod]: [string, KubeObject]): boolean => (pod as PodObject).spec.schedulerName === SCHEDULER_NAME;
  const pods = mixed.list('pods');
  for (const [key] of [...pods].filter(isOwn)) pods.delete(key);
  for (const [key, pod] of [...now.list('pods')].filter(isOwn)) pods.set(key, pod);
  for (const list of ['resourceClaims', 'bindRequests'] as const) {
    mixed.list(list).clear();
    for (const [key, object] of now.list(list)) mixed.list(list).set(key, object);
  }
  return mixed;
}

function groupOf(pod: PodObject, moment: Moment): GroupObject | undefined {
  const name = pod.metadata.annotations?.['pod-group-name'];
  return name === undefined ? undefined : (moment.list('podGroups').get(`${pod.metadata.namespace}/${name}`) as GroupObject | undefined);
}

function leafOf(pod: PodObject): string {
  return pod.metadata.labels?.['kai.scheduler/subgroup-name'] || 'default';
}

/** Of one label for one device, or one label per device for several. */
function labelledGroups(pod: PodObject): string[] {
  const labels = Object.entries(pod.metadata.labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const groups = labels.flatMap(([name, value]) => (name === 'runai-gpu-group' || name.startsWith('runai-gpu-group/') ? [value] : []));
  return [...new Set(groups)];
}
