// Whether a task fits a node by amounts, now or once what leaves has left, and what is short (spec 03 sections 4.10, 7.1).
import { type Amounts, amountOf, MIG_PREFIX, namesInOrder, plus } from './amounts.ts';
import { deviceMib, fittingGroups, hasMig, nonAllocated, portionOn } from './ledger.ts';
import { extent, isShared, type Request } from './request.ts';
import type { NodeFacts, NodeLedger, Task } from './types.ts';

/** Every requested resource is there; what the task does not ask for may be short. */
function covers(pool: Amounts, request: Amounts, except: readonly string[] = []): boolean {
  return Object.entries(request).every(([name, amount]) => except.includes(name) || amount <= 0 || amount <= amountOf(pool, name));
}

/** Enough devices for a shared request: groups with room, then whole ones of the pool. */
function hasDevices(request: Request, facts: NodeFacts, node: NodeLedger, pool: Amounts): boolean {
  const matching = Math.min(request.count, fittingGroups(node, facts, request).length);
  return Math.floor(amountOf(pool, 'gpu')) + matching >= request.count;
}

/**
 * At most one device each. Where the node does not tell its memory a whole multiple of the unknown amount passes, so that
 * the check that names the reason can refuse it (spec 03 sections 3.5, 7.3 step 3).
 */
function isPortionValid(request: Request, facts: NodeFacts): boolean {
  const portion = portionOn(request, facts);
  return portion <= 1 || (!facts.isGpuMemoryKnown && Number.isInteger(portion));
}

function fitsPool(request: Request, facts: NodeFacts, node: NodeLedger, pool: Amounts): boolean {
  if (!isShared(request)) return covers(pool, request.amounts);
  return covers(pool, request.amounts, ['gpu']) && isPortionValid(request, facts) && hasDevices(request, facts, node, pool);
}

export function fitsNow(request: Request, facts: NodeFacts, node: NodeLedger): boolean {
  return fitsPool(request, facts, node, node.idle);
}

export function fitsEventually(request: Request, facts: NodeFacts, node: NodeLedger): boolean {
  return fitsPool(request, facts, node, nonAllocated(node));
}

function short(name: string): string {
  return `node(s) didn't have enough resources: ${name}`;
}

/** GPU side of the shortages: MIG profiles, or devices and their memory. */
function gpuShortages(request: Request, facts: NodeFacts, node: NodeLedger, available: Amounts): string[] {
  if (hasMig(request.amounts)) {
    const profiles = Object.keys(request.amounts).filter((name) => name.startsWith(MIG_PREFIX));
    return profiles
      .filter((name) => amountOf(request.amounts, name) > amountOf(available, name))
      .map((name) => `node(s) didn't have enough of mig profile: ${name}`);
  }
  const isMemory = request.gpuMemory > 0;
  const gpus = isMemory ? extent(portionOn(request, facts), request.count) : amountOf(request.amounts, 'gpu');
  const findsNone = request.type === 'fraction' && !hasDevices(request, facts, node, nonAllocated(node));
  const reasons = (gpus > 0 && gpus > amountOf(available, 'gpu')) || findsNone ? [short('GPUs')] : [];
  return isMemory && deviceMib(request, facts) > facts.gpuMib ? [...reasons, short('GPU memory')] : reasons;
}

function overheadText(task: Task): string {
  const parts = Object.entries(task.pod.spec.overhead ?? {}).map(([name, quantity]) => ` ${name}: ${quantity}`);
  return `. Not enough resources due to pod overhead resources. The overhead resources are${parts.sort().join('')}`;
}

/** Reasons of a node that the task does not fit (spec 03 section 7.1); none where the node is refused without a word. */
export function shortages(task: Task, facts: NodeFacts, node: NodeLedger): string[] {
  const { request } = task;
  if (fitsNow(request, facts, node)) return [];
  // A node where only the device is missing says nothing to a request by memory (stated-gpu-memory/007).
  if (request.type === 'gpuMemory' && isPortionValid(request, facts) && covers(node.idle, request.amounts)) return [];
  const available = plus(facts.allocatable, node.used, -1);
  const occupied = [...node.groups.values()].filter((group) => group.usedMib > 0).length;
  available.gpu = amountOf(available, 'gpu') - occupied;
  const reasons = gpuShortages(request, facts, node, available);
  for (const name of namesInOrder(request.amounts)) {
    if (name === 'gpu' || name.startsWith(MIG_PREFIX)) continue;
    const requested = amountOf(request.amounts, name);
    if (requested <= 0 || requested <= amountOf(available, name)) continue;
    reasons.push(short(name === 'cpu' ? 'CPU cores' : name));
  }
  const isByOverhead = Object.keys(task.request.overhead).length > 0 && covers(plus(node.idle, request.overhead), request.amounts);
  return isByOverhead ? reasons.map((reason) => reason + overheadText(task)) : reasons;
}
