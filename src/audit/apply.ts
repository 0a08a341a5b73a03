import { type AuditDecision, EVICTING_ACTIONS, type TakenBack } from './attempts.ts';
import { type Device, devicesOf } from './claims.ts';
import { NodeBook, nodeAmounts } from './nodeBooks.ts';
import type { AuditNode } from './nodes.ts';
import { chargeQueues, queueAmounts } from './open.ts';
import { Presences } from './podTerms.ts';
import { checkPredicates } from './predicates.ts';
import type { QueueSums } from './reclaimRules.ts';
import { devicePortion } from './requests.ts';
import { type AuditPod, hasPlugin, isAllocated, isLeafQueue, isUsed, upwards, type World } from './world.ts';

/** The books that change while decisions are replayed. */
export interface Books {
  readonly byNode: ReadonlyMap<string, NodeBook>;
  readonly presences: Presences;
  /** Node of each GPU group. */
  readonly groupNode: Map<string, string>;
  /** Claim, or pod, that holds a device. */
  readonly devices: Map<Device, string>;
}

/** Code of ReceivedType by kind of request. */
const RECEIVED = { regular: 1, shared: 2, mig: 3 } as const;

export function openBooks(world: World): Books {
  const byNode = new Map([...world.nodes.values()].map((node): [string, NodeBook] => [node.name, new NodeBook(node)]));
  const presences = new Presences();
  const groupNode = new Map<string, string>();
  for (const pod of world.pods.values()) {
    if (pod.node === null || !isUsed(pod.status)) continue;
    const book = byNode.get(pod.node.name)!;
    const amounts = nodeAmounts(world, pod);
    book.hold(pod, amounts);
    if (pod.status === 'releasing') book.leave(pod, amounts);
    presences.add(pod, pod.node);
    for (const group of pod.groups) if (!groupNode.has(group)) groupNode.set(group, pod.node.name);
  }
  return { byNode, presences, groupNode, devices: new Map(world.claims.devices) };
}

/** Checks one decision by itself and carries it out in the books. Null when it names what does not exist or cannot be done. */
export function applyDecision(world: World, books: Books, decision: AuditDecision): AuditPod | null {
  const pod = findPod(world, decision);
  if (pod === null || !checkAction(world, decision)) return null;
  return decision.kind === 'evict' ? evict(world, books, decision, pod) : place(world, books, decision, pod);
}

function findPod(world: World, decision: AuditDecision): AuditPod | null {
  const { findings } = world;
  const object = `pod ${decision.pod}`;
  const pod = world.pods.get(decision.pod);
  if (pod === undefined) findings.add('unknown-object', object, 'there is no such pod');
  else if (decision.podUid !== undefined && decision.podUid !== (pod.pod.metadata.uid ?? ''))
    findings.add('unknown-object', object, 'the pod of this UID does not exist');
  else if (pod.job === null || pod.job.key !== decision.podGroup)
    findings.add('unknown-object', object, `pod group ${decision.podGroup} of the decision is not the pod's in this shard`);
  else if (decision.kind !== 'evict' && !world.nodes.has(decision.node))
    findings.add('unknown-object', `node ${decision.node}`, `not in the shard, but a place for ${decision.pod}`);
  else return pod;
  return null;
}

function checkAction(world: World, { action, kind, pod }: AuditDecision): boolean {
  const problem = !world.config.actions.includes(action)
    ? `action ${action} is not configured`
    : action === 'allocate' && kind === 'evict'
      ? 'allocate evicts nobody'
      : EVICTING_ACTIONS.has(action) && kind === 'bind'
        ? `${action} promises places, it binds nobody`
        : action === 'stalegangeviction' && kind !== 'evict' && world.config.safeEviction?.requireCommittedPlace !== true
          ? 'stalegangeviction gives no places unless every eviction needs a committed one'
          : null;
  if (problem !== null) world.findings.add('wrong-action', `pod ${pod}`, problem);
  return problem === null;
}

function evict(world: World, books: Books, decision: AuditDecision, pod: AuditPod): AuditPod | null {
  const object = `pod ${pod.key}`;
  if (pod.isEvicted) world.findings.add('decided-twice', object, 'evicted twice');
  else if (pod.isPlaced) world.findings.add('decided-twice', object, 'evicted after it got a place in this cycle');
  else if (!isAllocated(pod.status)) world.findings.add('wrong-state', object, `evicted while ${pod.status}`);
  else {
    const { node } = pod;
    if (decision.node !== (node?.name ?? decision.node))
      world.findings.add('unknown-object', object, `evicted from node ${decision.node}, but it is on ${node?.name}`);
    pod.isEvicted = true;
    pod.leftNode = node;
    pod.status = 'releasing';
    if (node !== null) {
      books.byNode.get(node.name)!.leave(pod, nodeAmounts(world, pod));
      chargeQueues(world, pod, node, -1);
    }
    return pod;
  }
  return null;
}

function place(world: World, books: Books, decision: AuditDecision, pod: AuditPod): AuditPod | null {
  const object = `pod ${pod.key}`;
  const isMove = decision.kind === 'pipeline' && pod.isEvicted;
  if (pod.isPlaced) world.findings.add('decided-twice', object, 'got a place twice');
  else if (pod.status !== 'pending' && !isMove) world.findings.add('wrong-state', object, `got a place while ${pod.status}`);
  else {
    const book = books.byNode.get(decision.node)!;
    if (pod.leaf === '') world.findings.add('not-member', object, 'it belongs to no sub-group of its pod group');
    checkQueue(world, pod);
    checkPredicates(world, pod, book);
    bookPlace(world, books, decision, pod, book);
    return pod;
  }
  return null;
}

function checkQueue(world: World, pod: AuditPod): void {
  const { job } = pod;
  if (job === null) return;
  if (job.queue === null)
    world.findings.add('queue-unknown', `pod group ${job.key}`, `its queue ${job.group.spec?.queue ?? ''} does not exist`);
  else if (!isLeafQueue(job.queue))
    world.findings.add('queue-unknown', `pod group ${job.key}`, `its queue ${job.queue.name} has queues below it`);
}

function bookPlace(world: World, books: Books, decision: AuditDecision, pod: AuditPod, book: NodeBook): void {
  const { node } = book;
  const isBound = decision.kind === 'bind';
  checkGrant(world, decision, pod, node);
  if (decision.gpuGroups.some((group) => !book.hasGroup(group))) book.noteNewGroup(pod);
  pod.isPlaced = true;
  pod.status = isBound ? 'assigned' : 'pipelined';
  pod.node = node;
  pod.groups = pod.request.kind === 'shared' ? decision.gpuGroups : [];
  const amounts = nodeAmounts(world, pod);
  world.placements.push(pod);
  if (isBound) book.assign(pod, amounts);
  else book.promise(pod, amounts);
  checkAmounts(world, pod, book, amounts.keys(), isBound);
  checkGroups(world, books, pod, node);
  checkDevices(world, books, decision, pod);
  books.presences.add(pod, node);
  chargeQueues(world, pod, node, 1);
}

/** Devices, portion and groups of the decision against the request (spec 03 sections 3.6, 9, 10). */
function checkGrant(world: World, decision: AuditDecision, pod: AuditPod, node: AuditNode): void {
  const { request: r } = pod;
  const wrong = (message: string): void => world.findings.add('wrong-grant', `pod ${pod.key}`, message);
  if (decision.receivedType !== RECEIVED[r.kind]) wrong(`received type ${decision.receivedType}, but the request is ${r.kind}`);
  const devices = r.kind === 'shared' ? r.devices : r.wholeGpus;
  if (decision.gpuCount !== devices) wrong(`${decision.gpuCount} devices, but ${devices} are asked for`);
  const portion = r.kind === 'shared' ? devicePortion(r, node.gpuMib) : r.wholeGpus > 0 ? 1 : 0;
  if (!(Math.abs(Number(decision.gpuPortion) - portion) <= 0.005 + 1e-9)) wrong(`portion ${decision.gpuPortion}, but it is ${portion}`);
  const groups = r.kind === 'shared' ? r.devices : 0;
  if (decision.gpuGroups.length !== groups) wrong(`${decision.gpuGroups.length} GPU groups, but ${groups} are needed`);
  if (new Set(decision.gpuGroups).size < decision.gpuGroups.length) wrong('a GPU group twice');
}

function checkAmounts(world: World, pod: AuditPod, book: NodeBook, names: Iterable<string>, isBound: boolean): void {
  // A promised place must be there later, a bound one now and later.
  const matters = (text: string): boolean => isBound || text.startsWith('later');
  const isDelegated = (name: string): boolean =>
    (name === 'gpu' ? ['nvidia.com/gpu', 'amd.com/gpu'] : [name]).some((n) => world.claims.classOf.has(n));
  const object = `node ${book.node.name}`;
  const asked = pod.request.kind === 'shared' ? [...names, 'gpu'] : names;
  for (const text of book.excess(asked, isDelegated))
    if (matters(text)) world.findings.add('node-overcommit', object, `${text} after ${pod.key}`);
  for (const text of book.groupExcess(pod.groups))
    if (matters(text)) world.findings.add('group-overcommit', object, `${text} after ${pod.key}`);
}

function checkGroups(world: World, books: Books, pod: AuditPod, node: AuditNode): void {
  for (const group of pod.groups) {
    const other = books.groupNode.get(group);
    if (other === undefined) books.groupNode.set(group, node.name);
    else if (other !== node.name)
      world.findings.add('group-elsewhere', `pod ${pod.key}`, `GPU group ${group} on node ${node.name} is one of node ${other}`);
  }
}

/** Only bound pods take devices; what is promised may still change hands. */
function checkDevices(world: World, books: Books, decision: AuditDecision, pod: AuditPod): void {
  if (decision.kind !== 'bind') return;
  const take = (allocation: unknown, owner: string): void => {
    for (const device of devicesOf(allocation)) {
      const other = books.devices.get(device);
      if (other === undefined) books.devices.set(device, owner);
      else if (other !== owner) world.findings.add('device-twice', `pod ${pod.key}`, `device ${device} is allocated to ${other} already`);
    }
  };
  for (const { name, allocation } of decision.details?.resourceClaimAllocations ?? [])
    take(allocation, world.claims.claimKey(pod.pod, name) || `${pod.key} ${name}`);
  const extended = decision.details?.extendedResourceClaimAllocation;
  if (typeof extended === 'object' && extended !== null) take((extended as { readonly allocation?: unknown }).allocation, pod.key);
}

/** Places that are taken back later without having been seen hold, with their queues' amounts, until then. */
export function holdTakenBack(world: World, taken: readonly TakenBack[]): void {
  for (const { pod: key, node: name, isPromise } of taken) {
    const [pod, node] = [world.pods.get(key), world.nodes.get(name)];
    if (pod === undefined || node === undefined || pod.status !== 'pending') {
      world.findings.add('wrong-state', `pod ${key}`, 'its place is said to be taken back, but it could not have had it');
      continue;
    }
    pod.status = isPromise === true ? 'pipelined' : 'assigned';
    pod.node = node;
    chargeQueues(world, pod, node, 1);
  }
}

/** Gives the pods whose binds the attempt takes back; they, and those whose promises it undoes, wait again. */
export function takeBack(world: World, books: Books, taken: readonly TakenBack[]): AuditPod[] {
  return taken.flatMap(({ pod: key, isPromise }) => {
    const pod = world.pods.get(key);
    if (pod !== undefined && isPromise === true) undoPromise(world, books, pod);
    if (pod === undefined || pod.status !== 'assigned' || pod.isPlaced || pod.node === null) return [];
    chargeQueues(world, pod, pod.node, -1);
    pod.leftNode = pod.node;
    pod.node = null;
    pod.status = 'pending';
    return [pod];
  });
}

function undoPromise(world: World, books: Books, pod: AuditPod): void {
  const { node } = pod;
  if (pod.status !== 'pipelined' || node === null) {
    world.findings.add('wrong-state', `pod ${pod.key}`, `its promise is said to be undone, but it is ${pod.status}`);
    return;
  }
  chargeQueues(world, pod, node, -1);
  if (pod.isPlaced) {
    books.byNode.get(node.name)!.unpromise(pod, nodeAmounts(world, pod));
    books.presences.remove(pod);
    world.placements.splice(world.placements.indexOf(pod), 1);
    pod.isPlaced = false;
  }
  pod.node = pod.isEvicted ? pod.leftNode : null;
  pod.status = pod.isEvicted ? 'releasing' : 'pending';
}

/**
 * Limits and non-preemptible quotas of the queue and its ancestors after a pod got a place, in the resources that it has
 * (spec 02 section 13.1). `start`: sums before an evicting attempt; a queue above its limit may exchange pods as long as it
 * does not grow.
 */
export function checkBounds(world: World, pod: AuditPod, start: QueueSums | null): void {
  const { job, node } = pod;
  if (job === null || job.queue === null || node === null || pod.leaf === '' || !hasPlugin(world.config, 'proportion')) return;
  const amounts = queueAmounts(world, pod, node);
  for (const queue of upwards(job.queue)) {
    amounts.forEach((amount, r) => {
      if (amount === 0) return;
      const what = ['milli-CPU', 'bytes', 'milli-GPU'][r];
      const before = start?.get(queue)?.allocated[r] ?? 0;
      if (queue.limit[r] !== -1 && queue.allocated[r]! > Math.max(queue.limit[r]!, before)) {
        world.findings.add('queue-limit', `queue ${queue.name}`, `${queue.allocated[r]} of ${queue.limit[r]} ${what} after ${pod.key}`);
      }
      if (!job.isPreemptible && queue.quota[r] !== -1 && queue.nonPreemptible[r]! > queue.quota[r]!) {
        world.findings.add(
          'queue-quota',
          `queue ${queue.name}`,
          `${queue.nonPreemptible[r]} of ${queue.quota[r]} ${what} for non-preemptible pods after ${pod.key}`,
        );
      }
    });
  }
}
