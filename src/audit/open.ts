import type { SchedulerConfig } from '../base/config.ts';
import type { BindRequest, ClusterObjects, Pod, PodGroup } from '../base/objects.ts';
import type { SnapshotOptions } from '../base/snapshotView.ts';
import { type Claims, readClaims } from './claims.ts';
import { divideAmong } from './fairShare.ts';
import { Findings } from './findings.ts';
import { type AuditNode, gpuMemoryRange, isInShard, readNodes } from './nodes.ts';
import { durationOf, type QueueUsage, readQueues, timeOf } from './queues.ts';
import { acceptedGpuMilli, demandGpuMilli, migGpusOf, type PodRequest } from './requests.ts';
import { leavesOf, readTree } from './tree.ts';
import {
  type AuditJob,
  type AuditPod,
  type AuditQueue,
  add,
  isAllocated,
  isUsed,
  type PodStatus,
  pluginArgument,
  type Triple,
  upwards,
  type World,
} from './world.ts';

/** What the cycle was run on. */
export interface OpenInput {
  readonly objects: ClusterObjects;
  readonly config: SchedulerConfig;
  readonly options: SnapshotOptions;
  readonly nowMs: number;
  readonly usage: ReadonlyMap<string, QueueUsage>;
  /** Requests of pods, kept between cycles. */
  readonly requestOf: (pod: Pod) => PodRequest;
}

type JobDraft = Omit<AuditJob, 'pods'> & { readonly pods: AuditPod[]; readonly leaves: ReadonlySet<string> };

/** Reads the cluster as it is when the cycle begins: statuses, sums of queues, fair shares. */
export function openWorld(input: OpenInput): World {
  const { objects, config, options, nowMs } = input;
  const claims = readClaims(objects, options.isDraServed);
  const nodes = readNodes(objects.nodes, config, options, claims.sliceGpus);
  const { queues, top } = readQueues(objects.queues, config, nowMs, input.usage);
  const jobs = readJobs(objects, config, queues);
  const pods = readPods(input, nodes, jobs, claims);
  const { minMib, maxMib } = gpuMemoryRange(nodes.values());
  const world: World = {
    config,
    options,
    nowMs,
    nodes,
    pods,
    jobs,
    queues,
    topQueues: top,
    claims,
    namespaces: new Map(objects.namespaces.map((n) => [n.metadata.name, n.metadata.labels ?? {}])),
    minGpuMib: minMib,
    maxGpuMib: maxMib,
    placements: [],
    findings: new Findings(),
  };
  sumQueues(world);
  const kValue = Number(pluginArgument(config, 'proportion', 'kValue') ?? '1');
  divideAmong(top, clusterTotal(world), Number.isNaN(kValue) ? 1 : Math.max(0, kValue));
  return world;
}

function keyOf(object: { readonly metadata: { readonly namespace?: string; readonly name: string } }): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

/** Pod groups of the shard that are not backing off (spec 02 section 4.1, 03 section 2.6). */
function readJobs(objects: ClusterObjects, config: SchedulerConfig, queues: ReadonlyMap<string, AuditQueue>): Map<string, JobDraft> {
  const values = new Map(objects.priorityClasses.map((c) => [c.metadata.name, c.value ?? 0]));
  const defaults = objects.priorityClasses.filter((c) => c.globalDefault === true).map((c) => c.value ?? 0);
  const fallback = defaults.length > 0 ? Math.max(...defaults) : 50;
  const out = new Map<string, JobDraft>();
  for (const group of objects.podGroups) {
    if (!isInShard(group.metadata.labels, config) || isBackingOff(group, config)) continue;
    const { queue: queueName, preemptibility, priorityClassName, preemptionDelay, stalenessGracePeriod } = group.spec ?? {};
    const queue = queues.get(queueName ?? '') ?? null;
    const annotations = group.metadata.annotations ?? {};
    const priority = queue === null ? 0 : (values.get(priorityClassName ?? '') ?? fallback);
    const isSaid = preemptibility === 'preemptible' || preemptibility === 'non-preemptible';
    const grace = durationOf(stalenessGracePeriod);
    const tree = readTree(group);
    out.set(keyOf(group), {
      key: keyOf(group),
      group,
      queue,
      priority,
      isPreemptible: queue !== null && (isSaid ? preemptibility === 'preemptible' : priority < 100),
      tree,
      leaves: new Set(tree === null ? [] : leavesOf(tree).map((leaf) => leaf.name)),
      createdMs: timeOf(group.metadata.creationTimestamp) || 0,
      lastStartMs: timeOf(annotations['kai.scheduler/last-start-timestamp']),
      staleSinceMs: timeOf(annotations['kai.scheduler/stale-podgroup-timestamp']),
      lastEvictionMs: timeOf(annotations['kai.scheduler/last-eviction-timestamp']),
      delayMs: Math.max(0, durationOf(preemptionDelay) || 0),
      graceMs: Number.isNaN(grace) ? config.params.defaultStalenessGracePeriodMs : grace,
      pods: [],
    });
  }
  return out;
}

/** A back-off is set and the newest condition is of this pool (spec 03 section 2.6). */
function isBackingOff(group: PodGroup, config: SchedulerConfig): boolean {
  if ((group.spec?.schedulingBackoff ?? -1) === -1) return false;
  const number = (id: string | undefined): number => (/^\d+$/.test(id ?? '') ? Number(id) : -1);
  const conditions = group.status?.schedulingConditions ?? [];
  const newest = Math.max(...conditions.map((c) => number(c.transitionID)));
  const last = conditions.find((c) => number(c.transitionID) === newest);
  return last !== undefined && last.nodePool === (config.params.nodePoolLabelValue || 'default');
}

function isLive(request: BindRequest, pod: Pod, nodes: ReadonlyMap<string, AuditNode>): boolean {
  const { phase, failedAttempts = 0 } = request.status ?? {};
  const limit = request.spec?.backoffLimit ?? null;
  if (phase === 'Failed' && (limit === null || failedAttempts >= limit)) return false;
  const owner = request.metadata.ownerReferences?.find((o) => o.kind === 'Pod')?.uid;
  return nodes.has(request.spec?.selectedNode ?? '') && (owner === undefined || owner === pod.metadata.uid);
}

function statusOf(pod: Pod, isBinding: boolean, nowMs: number, thresholdMs: number): PodStatus {
  const deletionMs = timeOf(pod.metadata.deletionTimestamp);
  const isDeleting = Boolean(pod.metadata.deletionTimestamp);
  switch (pod.status?.phase) {
    case 'Running':
      if (!isDeleting) return 'running';
      return nowMs - deletionMs > thresholdMs ? 'stuck' : 'releasing';
    case 'Pending':
      if (isDeleting) return 'releasing';
      if (pod.spec.nodeName) return 'bound';
      if (isBinding) return 'binding';
      return (pod.spec.schedulingGates ?? []).length > 0 ? 'gated' : 'pending';
    case 'Succeeded':
      return 'succeeded';
    default:
      return 'other';
  }
}

/** GPU groups from the labels: the plain one, then the prefixed ones by key, each group once. */
function labelledGroups(pod: Pod): string[] {
  const labels = pod.metadata.labels ?? {};
  const keys = Object.keys(labels).filter((key) => key.startsWith('runai-gpu-group/'));
  const all = [labels['runai-gpu-group'] ?? '', ...keys.sort().map((key) => labels[key] ?? '')];
  return [...new Set(all.filter((group) => group !== ''))];
}

function readPods(
  input: OpenInput,
  nodes: ReadonlyMap<string, AuditNode>,
  jobs: ReadonlyMap<string, JobDraft>,
  claims: Claims,
): Map<string, AuditPod> {
  const requests = new Map(
    input.objects.bindRequests.map((r): [string, BindRequest] => [`${r.metadata.namespace ?? ''}/${r.spec?.podName ?? ''}`, r]),
  );
  const out = new Map<string, AuditPod>();
  const { schedulerName } = input.config.params;
  for (const pod of input.objects.pods) {
    if (pod.status?.phase === 'Failed') continue;
    const key = keyOf(pod);
    const found = requests.get(key);
    const live = found !== undefined && isLive(found, pod, nodes) ? found : undefined;
    const status = statusOf(pod, live !== undefined, input.nowMs, input.config.params.stuckInReleasingThresholdMs);
    const node = isUsed(status) ? (nodes.get(pod.spec.nodeName || live?.spec?.selectedNode || '') ?? null) : null;
    const request = input.requestOf(pod);
    // Pods of other schedulers only take room.
    const isForeign = (pod.spec.schedulerName ?? schedulerName) !== schedulerName;
    const job = isForeign
      ? null
      : (jobs.get(`${pod.metadata.namespace ?? ''}/${pod.metadata.annotations?.['pod-group-name'] ?? ''}`) ?? null);
    const leaf = pod.metadata.labels?.['kai.scheduler/subgroup-name'] || 'default';
    const isMember = job?.leaves.has(leaf) === true;
    const chosen = live?.spec?.selectedGPUGroups ?? [];
    const record: AuditPod = {
      key,
      pod,
      request,
      claimGpus: claims.gpusOf(pod, request.others),
      job,
      leaf: isMember ? leaf : '',
      status,
      node,
      groups: request.kind !== 'shared' ? [] : chosen.length > 0 ? chosen : labelledGroups(pod),
      isPlaced: false,
      isEvicted: false,
      leftNode: null,
    };
    out.set(key, record);
    if (isMember) job?.pods.push(record);
  }
  return out;
}

/** Amounts that a pod counts for its queues on a node, or while it waits (null). */
export function queueAmounts(world: World, pod: AuditPod, node: AuditNode | null): Triple {
  const { request, claimGpus } = pod;
  const gpuMilli = node === null ? demandGpuMilli(request, claimGpus, world.minGpuMib) : acceptedGpuMilli(request, claimGpus, node.gpuMib);
  return [request.milliCpu, request.memoryBytes, gpuMilli];
}

/** Adds a pod's amounts to its queue and all ancestors, or takes them off. */
export function chargeQueues(world: World, pod: AuditPod, node: AuditNode, sign: 1 | -1): void {
  const { job } = pod;
  if (job === null || job.queue === null || pod.leaf === '') return;
  const amounts = queueAmounts(world, pod, node);
  for (const queue of upwards(job.queue)) {
    queue.allocated = add(queue.allocated, amounts, sign);
    if (!job.isPreemptible) queue.nonPreemptible = add(queue.nonPreemptible, amounts, sign);
  }
}

/** Sums at the start (spec 02 section 6.2). */
function sumQueues(world: World): void {
  for (const job of world.jobs.values()) {
    if (job.queue === null) continue;
    for (const pod of job.pods) {
      const isHolding = isAllocated(pod.status) && pod.node !== null;
      if (!isHolding && pod.status !== 'pending') continue;
      if (isHolding) chargeQueues(world, pod, pod.node!, 1);
      const asked = queueAmounts(world, pod, isHolding ? pod.node : null);
      for (const queue of upwards(job.queue)) queue.request = add(queue.request, asked);
    }
  }
}

/** Resources of the cluster for fairness (spec 02 section 2.9). */
function clusterTotal(world: World): Triple {
  const { config, options } = world;
  let total: Triple = [0, 0, 0];
  for (const node of world.nodes.values()) {
    if (node.obstacles.length > 0) continue;
    const countsGpus = !config.params.restrictSchedulingNodes || node.isGpuWorker;
    const gpus = countsGpus ? (node.allocatable.get('gpu') ?? 0) + node.sliceGpus + migGpusOf(node.allocatable) : 0;
    total = add(total, [node.allocatable.get('cpu') ?? 0, node.allocatable.get('memory') ?? 0, gpus * 1000]);
  }
  for (const pod of world.pods.values()) {
    if (pod.node === null || pod.node.obstacles.length > 0 || pod.pod.spec.schedulerName === config.params.schedulerName) continue;
    const app = pod.pod.metadata.labels?.app;
    if (app === options.resourceReservationAppLabel || app === 'scaling-pod') continue;
    const { request, claimGpus } = pod;
    total = add(total, [request.milliCpu, request.memoryBytes, demandGpuMilli(request, claimGpus, Number.NaN)], -1);
  }
  return total;
}
