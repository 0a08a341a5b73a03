// What tasks do to the ledgers of their node (spec 03 sections 4.1, 4.4).
import { type Amounts, amountOf, MIG_PREFIX, migGpus, plus } from './amounts.ts';
import { extent, isShared, type Request } from './request.ts';
import type { GroupLedger, NodeFacts, NodeLedger, Status, Task } from './types.ts';

/** MiB that a shared request takes of each of its devices on this node (spec 03 section 3.5). */
export function deviceMib(request: Request, facts: NodeFacts): number {
  return request.gpuMemory > 0 ? request.gpuMemory : Math.trunc(request.portion * facts.gpuMib);
}

/** Portion of each device on this node. */
export function portionOn(request: Request, facts: NodeFacts): number {
  return request.gpuMemory > 0 ? Math.ceil((request.gpuMemory / facts.gpuMib) * 100) / 100 : request.portion;
}

/** GPUs that a task counts for its queue on this node: accepted resources (spec 02 section 2.4). */
export function acceptedGpus(request: Request, facts: NodeFacts): number {
  if (request.type === 'mig') return migGpus(request.amounts);
  return isShared(request) ? extent(portionOn(request, facts), request.count) : amountOf(request.amounts, 'gpu');
}

/** Amounts that the node's ledgers track for a task; resources that the node does not offer are not charged. */
function trackedAmounts(task: Task, facts: NodeFacts): Amounts {
  const amounts = { ...task.request.amounts };
  if (task.request.type !== 'regular' || task.isReservation) amounts.gpu = 0;
  return Object.fromEntries(Object.entries(amounts).filter(([name]) => amountOf(facts.allocatable, name) !== 0));
}

export function emptyLedger(facts: NodeFacts): NodeLedger {
  return { used: {}, idle: { ...facts.allocatable }, releasing: {}, groups: new Map(), tasks: new Set() };
}

function groupLedger(node: NodeLedger, name: string): GroupLedger {
  const found = node.groups.get(name) ?? {
    usedMib: 0,
    allocatedMib: 0,
    releasingMib: 0,
    isCharged: false,
    isReleasing: false,
    isAwaited: false,
  };
  node.groups.set(name, found);
  return found;
}

function addGpu(amounts: Amounts, gpus: number): void {
  amounts.gpu = amountOf(amounts, 'gpu') + gpus;
}

/** Changes the memory of a group and with it what its device counts as. */
function changeGroup(node: NodeLedger, group: GroupLedger, status: Status, mib: number): void {
  group.usedMib += mib;
  if (status !== 'pipelined') group.allocatedMib += mib;
  if (status === 'releasing') group.releasingMib += mib;
  if (status === 'pipelined') group.releasingMib -= mib;

  const before = { ...group };
  group.isCharged = group.allocatedMib > 0;
  group.isReleasing = group.usedMib > 0 && group.usedMib === group.releasingMib;
  group.isAwaited = group.usedMib > 0 && group.allocatedMib === 0;
  addGpu(node.idle, Number(before.isCharged) - Number(group.isCharged));
  addGpu(node.releasing, Number(group.isReleasing) - Number(before.isReleasing) - Number(group.isAwaited) + Number(before.isAwaited));
}

function apply(node: NodeLedger, facts: NodeFacts, task: Task, status: Status, sign: 1 | -1): void {
  const amounts = trackedAmounts(task, facts);
  node.used = plus(node.used, amounts, sign);
  if (status !== 'pipelined') node.idle = plus(node.idle, amounts, -sign);
  if (status === 'releasing') node.releasing = plus(node.releasing, amounts, sign);
  if (status === 'pipelined') node.releasing = plus(node.releasing, amounts, -sign);
}

export function addTask(node: NodeLedger, facts: NodeFacts, task: Task, status: Status, groups: readonly string[]): void {
  apply(node, facts, task, status, 1);
  node.tasks.add(task.key);
  if (!isShared(task.request)) return;
  for (const name of groups) changeGroup(node, groupLedger(node, name), status, deviceMib(task.request, facts));
}

export function removeTask(node: NodeLedger, facts: NodeFacts, task: Task, status: Status, groups: readonly string[]): void {
  apply(node, facts, task, status, -1);
  node.tasks.delete(task.key);
  if (!isShared(task.request)) return;
  for (const name of groups) changeGroup(node, groupLedger(node, name), status, -deviceMib(task.request, facts));
}

/** The group has room for the memory, now or once what is being released is gone (spec 03 section 4.5). */
function fitsGroup(group: GroupLedger, facts: NodeFacts, mib: number): boolean {
  const isOccupied = group.usedMib !== 0;
  const isEntirelyReleasing = group.allocatedMib === group.releasingMib;
  return isOccupied && !isEntirelyReleasing && facts.gpuMib - group.allocatedMib + group.releasingMib - mib >= 0;
}

/** The group has room now; one of waiting pods only is nobody's yet. */
export function fitsGroupNow(group: GroupLedger, facts: NodeFacts, mib: number): boolean {
  return group.allocatedMib > 0 && facts.gpuMib - group.allocatedMib - mib >= 0;
}

export function fittingGroups(node: NodeLedger, facts: NodeFacts, request: Request): string[] {
  const mib = deviceMib(request, facts);
  return [...node.groups].filter(([, group]) => fitsGroup(group, facts, mib)).map(([name]) => name);
}

export function nonAllocated(node: NodeLedger): Amounts {
  return plus(node.idle, node.releasing);
}

export function hasMig(amounts: Amounts): boolean {
  return Object.keys(amounts).some((name) => name.startsWith(MIG_PREFIX));
}
