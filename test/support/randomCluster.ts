// Small random clusters with everything that makes scheduling hard, consistent in what already runs: no node holds more
// than it has. Two ways to the same builder: from a seed, and as a fast-check arbitrary that shrinks.
import fc from 'fast-check';
import {
  type BindRequest,
  type ClusterObjects,
  LIST_NAMES,
  type OtherObject,
  type Pod,
  type PriorityClass,
} from '../../src/base/objects.ts';
import { deviceMib, gpuRequestOf, NodeBooks } from './clusterBooks.ts';
import { Draw, seededRandom, type Tape } from './draw.ts';
import { requestOf } from './quantities.ts';
import { drawJob, type JobPlan } from './randomJobs.ts';
import { drawNode } from './randomNodes.ts';
import { drawForeignPod, drawTemplate, type PodTemplate } from './randomPods.ts';
import { drawQueues } from './randomQueues.ts';

/** The time of the cycle that the clusters are made for. */
export const CLUSTER_NOW_MS = Date.parse('2026-01-01T12:00:00Z');

/** Choices by thing, so that shrinking takes whole things away. */
interface ClusterTapes {
  readonly nodes: readonly Tape[];
  readonly queues: readonly Tape[];
  readonly jobs: readonly Tape[];
  readonly foreign: readonly Tape[];
}
/** Most choices that one thing reads. */
const TAPE_LENGTH = { nodes: 24, queues: 24, jobs: 200, foreign: 8 } as const;
/** Choices that are read when a node is made crowded. */
const CROWDING_LENGTH = 4;
const MOST_CROWDED = { nodes: 6, queues: 6, jobs: 14, foreign: 1 } as const;
const MOST = { nodes: 8, queues: 8, jobs: 16, foreign: 3 } as const;

export function emptyObjects(): { [K in keyof ClusterObjects]: ClusterObjects[K][number][] } {
  return Object.fromEntries(LIST_NAMES.map((name) => [name, []])) as unknown as ReturnType<typeof emptyObjects>;
}

type PodState = 'pending' | 'running' | 'bound' | 'binding' | 'releasing' | 'stuck' | 'gated' | 'succeeded' | 'failedBinding' | 'leaving';
/** States of the pods of a job by the job's kind; the first one is the simplest. */
const STATES: readonly (readonly PodState[])[] = [
  ['pending'],
  ['pending'],
  ['pending'],
  ['pending'],
  ['running'],
  ['running', 'bound', 'binding'],
  ['pending', 'running'],
  ['pending', 'running', 'releasing', 'bound', 'binding', 'stuck', 'gated', 'succeeded', 'failedBinding', 'leaving'],
  ['releasing', 'running'],
];

/** The same for clusters in which little is free. */
const CROWDED_STATES: readonly (readonly PodState[])[] = [
  ['pending'],
  ['running'],
  ['running'],
  ['running'],
  ['running'],
  ['pending'],
  ['running', 'bound', 'binding'],
  ['running', 'running', 'pending'],
  ['running', 'running', 'releasing', 'stuck', 'gated', 'succeeded', 'pending'],
];

class Builder {
  readonly objects = emptyObjects();
  readonly #isCrowded: boolean;
  readonly #books: NodeBooks[] = [];
  #groups = 0;

  constructor(isCrowded: boolean) {
    this.#isCrowded = isCrowded;
  }

  addNode(draw: Draw, index: number): void {
    const node = drawNode(draw, index);
    this.objects.nodes.push(node);
    this.#books.push(new NodeBooks(node));
  }

  addForeign(draw: Draw, index: number): void {
    const pod = drawForeignPod(draw, index);
    const place = this.#place(draw, pod);
    if (place !== null) this.objects.pods.push({ ...pod, spec: { ...pod.spec, nodeName: place.node } });
  }

  addJob(draw: Draw, plan: JobPlan): void {
    const { group, members } = plan;
    const app = draw.pick([group.metadata.name, 'cache']);
    const templates = [drawTemplate(draw, app), ...(draw.chance(0.2) ? [drawTemplate(draw, app)] : [])];
    const states = draw.pick(this.#isCrowded ? CROWDED_STATES : STATES);
    let hasStarted = false;
    for (const [index, subGroup] of members.entries()) {
      const pod = newPod(plan, index, subGroup, app, templates[index % templates.length] as PodTemplate, draw);
      if (this.#addPod(draw, pod, draw.pick(states))) hasStarted = true;
    }
    const annotations: Record<string, string> = hasStarted ? { 'kai.scheduler/last-start-timestamp': '2026-01-01T04:00:00Z' } : {};
    this.objects.podGroups.push({ ...group, metadata: { ...group.metadata, annotations } });
  }

  /** Leaves the nodes hardly more than what is used: of GPUs always, of CPU sometimes. */
  crowd(draws: readonly Draw[]): void {
    for (const [i, books] of this.#books.entries()) {
      const draw = draws[i] as Draw;
      const { status } = books.node;
      const allocatable = { ...status?.allocatable };
      const gpu = 'amd.com/gpu' in allocatable ? 'amd.com/gpu' : 'nvidia.com/gpu';
      const spare = draw.pick([0, 0, 0, 0, 1, 1, 2]);
      if (gpu in allocatable) allocatable[gpu] = String(Math.min(Number(allocatable[gpu]), Math.max(1, books.usedGpus() + spare)));
      if (draw.chance(0.25)) allocatable.cpu = `${Math.ceil(books.used.cpu ?? 0) + draw.pick([250, 0, 1000])}m`;
      this.objects.nodes[i] = { ...books.node, status: { ...status, allocatable, capacity: allocatable } };
    }
  }

  /** Adds the pod in the wanted state, or as pending when no node has room for it. Says whether it holds a node. */
  #addPod(draw: Draw, pod: Pod, wanted: PodState): boolean {
    const state = ['pending', 'gated', 'succeeded', 'failedBinding', 'leaving'].includes(wanted) ? wanted : 'placed';
    const place = state === 'placed' ? this.#place(draw, pod) : null;
    if (place === null) {
      this.objects.pods.push(withoutNode(pod, wanted));
      if (wanted === 'failedBinding') this.objects.bindRequests.push(failedRequest(pod, draw.pick(this.objects.nodes).metadata.name));
      return false;
    }
    const { share } = gpuRequestOf(pod);
    // The binder writes one group as a label; several are known only through the request (spec 03 section 2.5).
    if (wanted === 'binding' || place.groups.length > 1) this.objects.bindRequests.push(liveRequest(pod, place, wanted === 'binding'));
    const labels = { ...pod.metadata.labels, ...(place.groups.length === 1 ? { 'runai-gpu-group': place.groups[0] as string } : {}) };
    const annotations = { ...pod.metadata.annotations, 'received-resource-type': share !== null ? 'Fraction' : 'Regular' };
    const deletionTimestamp = wanted === 'releasing' ? '2026-01-01T12:00:20Z' : wanted === 'stuck' ? '2026-01-01T11:50:00Z' : null;
    const isBinding = wanted === 'binding';
    this.objects.pods.push({
      metadata: {
        ...pod.metadata,
        ...(isBinding ? {} : { labels, annotations }),
        ...(deletionTimestamp === null ? {} : { deletionTimestamp }),
      },
      spec: isBinding ? pod.spec : { ...pod.spec, nodeName: place.node },
      status: { phase: isBinding || wanted === 'bound' ? 'Pending' : 'Running' },
    });
    return true;
  }

  /** First node, from a drawn one on, that has room; books the pod there. Null when none has. */
  #place(draw: Draw, pod: Pod): { node: string; groups: string[] } | null {
    const first = draw.int(0, this.#books.length - 1);
    const join = draw.chance(0.7);
    for (let i = 0; i < this.#books.length; i++) {
      const books = this.#books[(first + i) % this.#books.length] as NodeBooks;
      const groups = this.#groupsOn(books, pod, join);
      if (groups === null) continue;
      const reservations = groups.filter((group) => !books.groupMib.has(group)).map((group) => reservationPod(books, group));
      const request = requestOf(pod);
      const rest = (key: string): number =>
        (books.allocatable[key] ?? 0) - (books.used[key] ?? 0) - (key === 'pods' ? reservations.length : 0);
      if (Object.entries(request).some(([key, amount]) => key !== 'gpu' && amount > rest(key))) continue;
      books.add(pod, groups);
      for (const reservation of reservations) {
        books.add(reservation, []);
        this.objects.pods.push(reservation);
      }
      return { node: books.node.metadata.name, groups };
    }
    return null;
  }

  /** GPU groups for a shared pod, [] for any other, null when the GPUs do not suffice. */
  #groupsOn(books: NodeBooks, pod: Pod, join: boolean): string[] | null {
    const { whole, share } = gpuRequestOf(pod);
    const idle = (books.allocatable.gpu ?? 0) - books.usedGpus();
    if (share === null) return idle >= whole ? [] : null;
    const mib = deviceMib(share, books.gpuMib);
    if (mib > books.gpuMib || (share.memoryMib > 0 && books.gpuMib === 100)) return null;
    const open = [...books.groupMib].filter(([, used]) => used > 0 && used + mib <= books.gpuMib).map(([group]) => group);
    const groups = join ? open.slice(0, share.devices) : [];
    if (share.devices - groups.length > idle) return null;
    while (groups.length < share.devices) groups.push(`gpu-group-${this.#groups++}`);
    return groups;
  }
}

function newPod(plan: JobPlan, index: number, subGroup: string, app: string, template: PodTemplate, draw: Draw): Pod {
  const { name: group, namespace = 'team-a' } = plan.group.metadata;
  const name = `${group}-${index}`;
  const labels: Record<string, string> = { app };
  if (subGroup !== '') labels['kai.scheduler/subgroup-name'] = subGroup;
  if (draw.chance(0.05)) labels['kai.scheduler/task-priority'] = draw.pick(['1', '2', 'not a number']);
  return {
    metadata: {
      name,
      namespace,
      uid: name,
      creationTimestamp: `2026-01-01T03:1${draw.int(0, 3)}:00Z`,
      labels,
      annotations: { ...template.annotations, 'pod-group-name': group },
    },
    spec: template.spec,
    status: { phase: 'Pending' },
  };
}

/** A pod that holds nothing: pending, gated, finished, or deleted before it got a node. */
function withoutNode(pod: Pod, state: PodState): Pod {
  if (state === 'gated') return { ...pod, spec: { ...pod.spec, schedulingGates: [{ name: 'example.com/wait' }] } };
  if (state === 'succeeded') return { ...pod, status: { phase: 'Succeeded' } };
  if (state === 'leaving') return { ...pod, metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T12:00:20Z' } };
  return pod;
}

function bindRequest(pod: Pod, node: string, spec: BindRequest['spec'], phase: string): BindRequest {
  const { name, namespace = '', uid = '' } = pod.metadata;
  return {
    metadata: { name, namespace, uid: `request-${name}`, ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid }] },
    spec: { podName: name, selectedNode: node, ...spec },
    status: { phase },
  };
}

function liveRequest(pod: Pod, place: { node: string; groups: readonly string[] }, isBinding: boolean): BindRequest {
  const spec = {
    receivedResourceType: gpuRequestOf(pod).share !== null ? 'Fraction' : 'Regular',
    ...(place.groups.length > 0 ? { selectedGPUGroups: place.groups } : {}),
  };
  return bindRequest(pod, place.node, spec, isBinding ? 'Pending' : 'Succeeded');
}

function failedRequest(pod: Pod, node: string): BindRequest {
  return bindRequest(pod, node, { receivedResourceType: 'Regular' }, 'Failed');
}

/** Holds the device of a GPU group, as the binder makes it (spec 03 section 4.6). */
function reservationPod(books: NodeBooks, group: string): Pod {
  const name = `gpu-reservation-${group}`;
  return {
    metadata: {
      name,
      namespace: 'kai-resource-reservation',
      uid: name,
      creationTimestamp: '2026-01-01T02:30:00Z',
      labels: { app: 'kai-resource-reservation', 'runai-gpu-group': group },
    },
    spec: {
      nodeName: books.node.metadata.name,
      containers: [{ name: 'resource-reservation', resources: { requests: { 'nvidia.com/gpu': '1' } } }],
    },
    status: { phase: 'Running' },
  };
}

const PRIORITY_CLASSES: readonly PriorityClass[] = [
  { metadata: { name: 'train', uid: 'train' }, value: 50 },
  { metadata: { name: 'build', uid: 'build' }, value: 100 },
  { metadata: { name: 'inference', uid: 'inference' }, value: 125 },
];
const NAMESPACES: readonly OtherObject[] = ['team-a', 'team-b'].map((name) => ({ metadata: { name, uid: name, labels: { team: name } } }));

function buildCluster(tapes: ClusterTapes, isCrowded = false): ClusterObjects {
  const builder = new Builder(isCrowded);
  for (const [index, tape] of tapes.nodes.entries()) builder.addNode(new Draw(tape), index);
  const tree = drawQueues(tapes.queues.map((tape) => new Draw(tape)));
  for (const [index, tape] of tapes.foreign.entries()) builder.addForeign(new Draw(tape), index);
  for (const [index, tape] of tapes.jobs.entries()) {
    const draw = new Draw(tape);
    builder.addJob(draw, drawJob(draw, index, tree));
  }
  if (isCrowded) builder.crowd(tapes.nodes.map((tape) => new Draw(tape.slice(TAPE_LENGTH.nodes))));
  const { objects } = builder;
  objects.queues.push(...tree.queues);
  objects.priorityClasses.push(...PRIORITY_CLASSES);
  objects.namespaces.push(...NAMESPACES);
  objects.configMaps.push({ metadata: { name: 'settings', namespace: 'team-a', uid: 'settings' } });
  return objects;
}

/**
 * The cluster of a seed: 1–8 nodes, 1–8 queues, 0–16 jobs, 0–3 pods of other schedulers. The choices come from
 * `seededRandom(seed)`, in the order sizes, nodes, queues, jobs, foreign pods.
 */
export function randomCluster(seed: number): ClusterObjects {
  return clusterOf(seed, MOST, false);
}

/** As `randomCluster`, of at most 6 nodes and 6 queues with 2 to 14 jobs: most of them run, and little is free. */
export function crowdedCluster(seed: number): ClusterObjects {
  return clusterOf(seed, MOST_CROWDED, true);
}

function clusterOf(seed: number, most: Record<keyof ClusterTapes, number>, isCrowded: boolean): ClusterObjects {
  const random = seededRandom(seed);
  const count = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1));
  const sizes = {
    nodes: count(1, most.nodes),
    queues: count(1, most.queues),
    jobs: count(isCrowded ? 2 : 0, most.jobs),
    foreign: count(0, most.foreign),
  };
  const tapes = (name: keyof ClusterTapes): Tape[] =>
    Array.from({ length: sizes[name] }, () => Array.from({ length: lengthOf(name, isCrowded) }, random));
  return buildCluster({ nodes: tapes('nodes'), queues: tapes('queues'), jobs: tapes('jobs'), foreign: tapes('foreign') }, isCrowded);
}

function lengthOf(name: keyof ClusterTapes, isCrowded: boolean): number {
  return TAPE_LENGTH[name] + (isCrowded && name === 'nodes' ? CROWDING_LENGTH : 0);
}

/** The same clusters for fast-check: shrinks to fewer nodes, queues and jobs, and to plainer ones. */
export function clusterArbitrary(isCrowded = false): fc.Arbitrary<ClusterObjects> {
  const most = isCrowded ? MOST_CROWDED : MOST;
  const steps = 2 ** 16;
  const choice = fc.nat({ max: steps - 1 }).map((n) => n / steps);
  const tapes = (name: keyof ClusterTapes, least: number): fc.Arbitrary<Tape[]> =>
    fc.array(fc.array(choice, { maxLength: lengthOf(name, isCrowded), size: 'max' }), {
      minLength: least,
      maxLength: most[name],
      size: 'max',
    });
  return fc
    .record({ nodes: tapes('nodes', 1), queues: tapes('queues', 1), jobs: tapes('jobs', 0), foreign: tapes('foreign', 0) })
    .map((drawn) => buildCluster(drawn, isCrowded));
}
