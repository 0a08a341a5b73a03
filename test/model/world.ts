// Builds the twin's picture from plain objects (spec 02 sections 2.9, 3, 4.1; spec 03 section 2).
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { BindRequest, ClusterObjects, Pod, PodGroup, PriorityClass } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS } from '../../src/base/snapshotView.ts';
import { amountOf, migGpus } from './amounts.ts';
import { fairShares, kValueOf } from './fairShare.ts';
import { addTask, emptyLedger } from './ledger.ts';
import { gpuMemoryRange, isGpuWorker, isOfShard, nodeProblems, nodesOfShard } from './nodeFacts.ts';
import { acceptedTriple, book, emptyQueueLedger, milliGpu, queueTree, requests, triple } from './queues.ts';
import { gpuQuota, requestOf } from './request.ts';
import { podSetName, podSetsOf, tasksOf, treeOf } from './subGroups.ts';
import {
  ALLOCATED,
  type Job,
  type NodeFacts,
  type State,
  type Status,
  type SubGroupSet,
  type Task,
  type TaskState,
  USED,
  type World,
} from './types.ts';

const GROUP_LABEL = 'runai-gpu-group';
const DEFAULT_PRIORITY = 50;
const NON_PREEMPTIBLE_FROM = 100;
const { resourceReservationAppLabel } = DEFAULT_SNAPSHOT_OPTIONS;

function keyOf(object: { readonly metadata: { readonly name: string; readonly namespace?: string } }): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

function timeMs(text: string | null | undefined): number {
  return Date.parse(text ?? '1970-01-01T00:00:00Z');
}

/** Bind requests that hold a place for their pod (spec 03 section 2.5), by pod. */
function liveRequests(objects: ClusterObjects, nodes: ReadonlyMap<string, NodeFacts>): Map<string, BindRequest> {
  const pods = new Map(objects.pods.map((pod) => [keyOf(pod), pod]));
  const live = new Map<string, BindRequest>();
  for (const request of objects.bindRequests) {
    const { backoffLimit, podName = '', selectedNode = '' } = request.spec ?? {};
    const { phase, failedAttempts = 0 } = request.status ?? {};
    const key = `${request.metadata.namespace ?? ''}/${podName}`;
    const isFailed = phase === 'Failed' && (backoffLimit === undefined || backoffLimit === null || failedAttempts >= backoffLimit);
    const owner = (request.metadata.ownerReferences ?? []).find((o) => o.kind === 'Pod');
    const isForeign = owner !== undefined && owner.uid !== pods.get(key)?.metadata.uid;
    if (!isFailed && !isForeign && nodes.has(selectedNode)) live.set(key, request);
  }
  return live;
}

function statusOf(pod: Pod, request: BindRequest | undefined, config: SchedulerConfig, nowMs: number): Status {
  const deletion = pod.metadata.deletionTimestamp ?? '';
  switch (pod.status?.phase) {
    case 'Running':
      if (deletion === '') return 'running';
      return nowMs - timeMs(deletion) > config.params.stuckInReleasingThresholdMs ? 'stuck' : 'releasing';
    case 'Pending':
      if (deletion !== '') return 'releasing';
      if ((pod.spec.nodeName ?? '') !== '') return 'bound';
      if (request !== undefined) return 'binding';
      return (pod.spec.schedulingGates ?? []).length > 0 ? 'gated' : 'pending';
    case 'Succeeded':
      return 'succeeded';
    default:
      return 'unknown';
  }
}

function groupsOf(pod: Pod, request: BindRequest | undefined): readonly string[] {
  const selected = request?.spec?.selectedGPUGroups ?? [];
  if (selected.length > 0) return selected;
  const labels = pod.metadata.labels ?? {};
  const first = labels[GROUP_LABEL];
  if (first === undefined) return [];
  const more = Object.keys(labels).filter((key) => key.startsWith(`${GROUP_LABEL}/`));
  return [first, ...more.sort().map((key) => labels[key]!)];
}

function taskStates(
  objects: ClusterObjects,
  nodes: ReadonlyMap<string, NodeFacts>,
  config: SchedulerConfig,
  nowMs: number,
): Map<string, TaskState> {
  const requests = liveRequests(objects, nodes);
  const states = new Map<string, TaskState>();
  for (const pod of objects.pods) {
    const request = requests.get(keyOf(pod));
    const status = statusOf(pod, request, config, nowMs);
    const node = pod.spec.nodeName || request?.spec?.selectedNode || null;
    const isPlaced = USED.includes(status) && node !== null && nodes.has(node);
    states.set(keyOf(pod), { status, node: isPlaced ? node : null, groups: isPlaced ? groupsOf(pod, request) : [] });
  }
  return states;
}

/** Value of the class, else of the global default, else 50 (spec 01 section 4.2). */
function priorityOf(group: PodGroup, classes: readonly PriorityClass[]): number {
  const own = classes.find((c) => c.metadata.name === group.spec?.priorityClassName);
  const defaults = classes.filter((c) => c.globalDefault === true).map((c) => c.value ?? 0);
  if (own !== undefined) return own.value ?? 0;
  return defaults.length > 0 ? Math.max(...defaults) : DEFAULT_PRIORITY;
}

/** Not tried again in a pool where it failed, when the group wants one attempt only (spec 01 section 5.4). */
function isBackedOff(group: PodGroup, poolName: string): boolean {
  if ((group.spec?.schedulingBackoff ?? -1) === -1) return false;
  const id = (text: string | undefined): number => (/^\d+$/.test(text ?? '') ? Number(text) : -1);
  const conditions = group.status?.schedulingConditions ?? [];
  const last = Math.max(-1, ...conditions.map((c) => id(c.transitionID)));
  return conditions.find((c) => id(c.transitionID) === last)?.nodePool === poolName;
}

function jobOf(group: PodGroup, tasks: readonly Task[], classes: readonly PriorityClass[]): Job {
  const tree = treeOf(group, tasks);
  const priority = priorityOf(group, classes);
  const { preemptibility } = group.spec ?? {};
  const derived = priority < NON_PREEMPTIBLE_FROM;
  const emptyTree: SubGroupSet = { kind: 'set', name: '', need: 1, members: [] };
  return {
    key: keyOf(group),
    group,
    queue: group.spec?.queue ?? '',
    priority,
    isPreemptible: preemptibility === 'preemptible' || (preemptibility !== 'non-preemptible' && derived),
    createdMs: timeMs(group.metadata.creationTimestamp),
    root: tree ?? emptyTree,
    isMalformed: tree === null,
  };
}

/** What queues can share: ready nodes without what other schedulers' pods hold (spec 02 section 2.9). */
function clusterTotal(world: Pick<World, 'config' | 'nodes' | 'tasks'>, state: State): World['total'] {
  const total = triple(() => 0);
  for (const facts of world.nodes.values()) {
    if (nodeProblems(facts.node).length > 0) continue;
    const countsGpus = !world.config.params.restrictSchedulingNodes || isGpuWorker(facts);
    total.cpu += amountOf(facts.allocatable, 'cpu');
    total.memory += amountOf(facts.allocatable, 'memory');
    if (countsGpus) total.gpu += milliGpu(amountOf(facts.allocatable, 'gpu') + migGpus(facts.allocatable));
    for (const key of state.nodes.get(facts.name)!.tasks) {
      const { pod, request, isReservation } = world.tasks.get(key)!;
      const isUtility = isReservation || pod.metadata.labels?.app === 'scaling-pod';
      if (pod.spec.schedulerName === world.config.params.schedulerName || isUtility) continue;
      total.cpu -= amountOf(request.amounts, 'cpu');
      total.memory -= amountOf(request.amounts, 'memory');
      total.gpu -= milliGpu(gpuQuota(request));
    }
  }
  return triple((r) => Math.max(0, total[r]));
}

/** The cluster at the start of a cycle. */
export function openWorld(objects: ClusterObjects, config: SchedulerConfig, nowMs: number): { world: World; state: State } {
  const nodes = nodesOfShard(objects.nodes, config);
  // Failed pods are not watched at all.
  const pods = objects.pods.filter((pod) => pod.status?.phase !== 'Failed');
  const tasks = new Map<string, Task>(
    pods.map((pod) => {
      const isReservation = pod.metadata.labels?.app === resourceReservationAppLabel;
      return [
        keyOf(pod),
        { key: keyOf(pod), pod, request: requestOf(pod), createdMs: timeMs(pod.metadata.creationTimestamp), isReservation },
      ];
    }),
  );
  const poolName = config.params.nodePoolLabelValue || 'default';
  const groups = objects.podGroups.filter((group) => isOfShard(group.metadata.labels, config) && !isBackedOff(group, poolName));
  const tasksByGroup = Map.groupBy(
    tasks.values(),
    ({ pod }) => `${pod.metadata.namespace ?? ''}/${pod.metadata.annotations?.['pod-group-name'] ?? ''}`,
  );
  const jobs = groups.map((group) => jobOf(group, tasksByGroup.get(keyOf(group)) ?? [], objects.priorityClasses));
  const jobOfTask = new Map(jobs.flatMap((job) => tasksOf(job).map((task) => [task.key, job] as const)));
  const queues = queueTree(objects.queues, config, nowMs);

  const state: State = {
    tasks: taskStates({ ...objects, pods }, nodes, config, nowMs),
    nodes: new Map([...nodes.values()].map((facts) => [facts.name, emptyLedger(facts)])),
    queues: new Map([...queues.keys()].map((name) => [name, emptyQueueLedger()])),
  };
  const facts = { config, nowMs, nodes, tasks, jobs, jobOf: jobOfTask, queues, poolName, ...gpuMemoryRange(nodes.values()) };
  const configMaps = new Set(objects.configMaps.map(keyOf));
  placeTasks(facts, state);
  const base = { ...facts, total: clusterTotal(facts, state), configMaps, namespaces: objects.namespaces };
  const k = kValueOf(config.plugins.find((p) => p.name === 'proportion')?.arguments.kValue);
  return { world: { ...base, fairShare: fairShares(queues, requests(base, state), base.total, k) }, state };
}

/** Puts the pods that hold something into the ledgers of nodes and queues. */
function placeTasks(world: Pick<World, 'nodes' | 'tasks' | 'jobOf' | 'queues'>, state: State): void {
  for (const [key, { status, node, groups }] of state.tasks) {
    if (node === null) continue;
    const task = world.tasks.get(key)!;
    const facts = world.nodes.get(node)!;
    addTask(state.nodes.get(node)!, facts, task, status, groups);
    const job = world.jobOf.get(key);
    if (job !== undefined && ALLOCATED.includes(status)) book(world, state, job, acceptedTriple(task.request, facts), 1);
  }
}

/** Tasks of a job's pod group that name a sub-group it does not have. */
export function strayTasks(world: World, job: Job): Task[] {
  const names = new Set(podSetsOf(job.root).map((podSet) => podSet.name));
  return [...world.tasks.values()].filter((task) => {
    const { namespace = '', annotations } = task.pod.metadata;
    return `${namespace}/${annotations?.['pod-group-name'] ?? ''}` === job.key && !names.has(podSetName(task));
  });
}
