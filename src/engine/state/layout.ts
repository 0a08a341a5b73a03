/**
 * The shared state of one cycle: one SharedArrayBuffer with a header, node facts, the cells (everything that changes) and
 * the columns of the class slots. The planner writes it, search workers read it and write only their part of a slot.
 */

/** What the sizes of the parts depend on. Upper bounds, except `nodes` and `dims` once the cycle is open. */
export interface StateSizes {
  readonly nodes: number;
  /** Resource names beyond CPU, memory, GPUs and pods. */
  readonly dims: number;
  /** GPU groups: the existing ones and as many as the cycle could create. */
  readonly groups: number;
  readonly queues: number;
  readonly podSets: number;
  readonly pods: number;
  readonly slots: number;
}

/** Node columns that change in a cycle; each is one run of `nodes` cells. */
export const NODE_CELL = {
  idleMilliCpu: 0,
  idleMemoryBytes: 1,
  idleGpu: 2,
  idlePods: 3,
  releasingMilliCpu: 4,
  releasingMemoryBytes: 5,
  releasingGpu: 6,
  releasingPods: 7,
  usedMilliCpu: 8,
  usedMemoryBytes: 9,
  usedGpu: 10,
  usedPods: 11,
  /** First GPU group of the node, -1 = none. */
  groupHead: 12,
  legacyMigTasks: 13,
} as const;
const NODE_CELLS = 14;

/** Columns of a GPU group. */
export const GROUP_CELL = { next: 0, node: 1, usedMib: 2, allocatedMib: 3, releasingMib: 4, isMarked: 5, hasAllocated: 6 } as const;
const GROUP_CELLS = 7;

/** Columns of a queue: sums over its subtree; GPUs in thousandths. */
export const QUEUE_CELL = { milliCpu: 0, memoryBytes: 1, gpuMilli: 2, npMilliCpu: 3, npMemoryBytes: 4, npGpuMilli: 5 } as const;
const QUEUE_CELLS = 6;

/** Columns of a pod set: numbers of tasks per group of statuses (spec 02 section 3.2). */
export const SET_CELL = { active: 0, used: 1, alive: 2, pipelined: 3, pending: 4, allocated: 5 } as const;
const SET_CELLS = 6;

/** Columns of a pod. */
export const TASK_CELL = { status: 0, node: 1 } as const;
const TASK_CELLS = 2;

const FACT_COLUMNS = 7;
const HEADER_INTS = 16;
/** Written last by the planner when the state is ready for search workers. */
export const STATE_MAGIC = 0x4b414953;

export interface NodeFacts {
  readonly allocMilliCpu: Float64Array;
  readonly allocMemoryBytes: Float64Array;
  /** Devices, DRA devices included. */
  readonly allocGpu: Float64Array;
  readonly allocPods: Float64Array;
  /** Memory per device in MiB, 100 = unknown. */
  readonly gpuMemoryMib: Float64Array;
  /** Devices by label, else by allocatable: divisor of spread scoring (spec 03 section 4.2). */
  readonly spreadDevices: Float64Array;
  /** trunc(allocatable GPUs): devices of the group rules (spec 03 section 4.11). */
  readonly devices: Float64Array;
  /** Row in view.nodes. */
  readonly row: Int32Array;
  /** NodeFlag bits. */
  readonly flags: Int32Array;
  /** NodeKind bits. */
  readonly kind: Int32Array;
  /** `dims` runs of `nodes`. */
  readonly allocScalar: Float64Array;
}

export interface NodeLedger {
  readonly idleMilliCpu: Float64Array;
  readonly idleMemoryBytes: Float64Array;
  readonly idleGpu: Float64Array;
  readonly idlePods: Float64Array;
  readonly releasingMilliCpu: Float64Array;
  readonly releasingMemoryBytes: Float64Array;
  readonly releasingGpu: Float64Array;
  readonly releasingPods: Float64Array;
  readonly usedMilliCpu: Float64Array;
  readonly usedMemoryBytes: Float64Array;
  readonly usedGpu: Float64Array;
  readonly usedPods: Float64Array;
  readonly groupHead: Float64Array;
  readonly legacyMigTasks: Float64Array;
  /** `dims` runs of `nodes` each. */
  readonly idleScalar: Float64Array;
  readonly releasingScalar: Float64Array;
  readonly usedScalar: Float64Array;
}

export interface GroupColumns {
  readonly next: Float64Array;
  readonly node: Float64Array;
  readonly usedMib: Float64Array;
  readonly allocatedMib: Float64Array;
  readonly releasingMib: Float64Array;
  readonly isMarked: Float64Array;
  readonly hasAllocated: Float64Array;
}

/** First cell of each part, for `journal.write`. */
export interface CellBase {
  readonly node: number;
  readonly idleScalar: number;
  readonly releasingScalar: number;
  readonly usedScalar: number;
  readonly group: number;
  readonly queue: number;
  readonly podSet: number;
  readonly task: number;
  /** One cell: number of GPU groups in use. */
  readonly groupCount: number;
}

/** Columns of one class slot. */
export interface SlotColumns {
  /** Order of the node for the class, larger first; −Infinity = refused. */
  readonly key: Float64Array;
  /** ResourceBit mask of what the node lacks. */
  readonly lack: Int32Array;
  /** PredicateCode of the refusal, 0 when accepted or refused for resources. */
  readonly code: Uint8Array;
  /** Refusal by node kind: checked before pod slots. */
  readonly before: Uint8Array;
  /** Refusal by conditions, taints, affinity, worker labels: checked after pod slots. */
  readonly after: Uint8Array;
}

export interface State {
  readonly sizes: StateSizes;
  readonly header: Int32Array;
  readonly facts: NodeFacts;
  readonly cells: Float64Array;
  readonly base: CellBase;
  readonly ledger: NodeLedger;
  readonly groups: GroupColumns;
  slot(index: number): SlotColumns;
}

/** Node kinds that predicates and scores look at. */
export const NodeKind = { cpuOnly: 1, migEnabled: 2, migSingle: 4, migMixed: 8, draGpu: 16, draOnly: 32 } as const;

function align(bytes: number): number {
  return (bytes + 63) & ~63;
}

interface Offsets {
  readonly facts: number;
  readonly ints: number;
  readonly scalars: number;
  readonly cells: number;
  readonly cellCount: number;
  readonly slots: number;
  readonly slotStride: number;
  readonly total: number;
}

function offsets(s: StateSizes): Offsets {
  const facts = align(HEADER_INTS * 4);
  const ints = facts + FACT_COLUMNS * align(s.nodes * 8);
  const scalars = ints + 3 * align(s.nodes * 4);
  const cells = scalars + align(s.dims * s.nodes * 8);
  const cellCount =
    (NODE_CELLS + 3 * s.dims) * s.nodes + GROUP_CELLS * s.groups + QUEUE_CELLS * s.queues + SET_CELLS * s.podSets + TASK_CELLS * s.pods + 1;
  const slots = cells + align(cellCount * 8);
  const slotStride = align(s.nodes * 8) + align(s.nodes * 4) + 3 * align(s.nodes);
  return { facts, ints, scalars, cells, cellCount, slots, slotStride, total: slots + s.slots * slotStride };
}

/** Bytes of a state of these sizes. */
export function stateSize(s: StateSizes): number {
  return offsets(s).total;
}

/** Lays the state out in `buffer` and writes its header; contents are whatever the buffer held. */
export function createState(buffer: SharedArrayBuffer, sizes: StateSizes): State {
  const header = new Int32Array(buffer, 0, HEADER_INTS);
  header.set([0, sizes.nodes, sizes.dims, sizes.groups, sizes.queues, sizes.podSets, sizes.pods, sizes.slots]);
  return viewState(buffer, sizes);
}

/** Views a state that another thread laid out. */
export function openState(buffer: SharedArrayBuffer): State {
  const h = new Int32Array(buffer, 0, HEADER_INTS);
  if (h[0] !== STATE_MAGIC) throw new Error('the shared state of the cycle is not ready');
  return viewState(buffer, { nodes: h[1]!, dims: h[2]!, groups: h[3]!, queues: h[4]!, podSets: h[5]!, pods: h[6]!, slots: h[7]! });
}

function viewState(buffer: SharedArrayBuffer, sizes: StateSizes): State {
  const o = offsets(sizes);
  const { nodes: n, dims } = sizes;
  const f64 = (at: number, count: number): Float64Array => new Float64Array(buffer, at, count);
  const fact = (i: number): Float64Array => f64(o.facts + i * align(n * 8), n);
  const int = (i: number): Int32Array => new Int32Array(buffer, o.ints + i * align(n * 4), n);
  const cells = f64(o.cells, o.cellCount);
  const idleScalar = NODE_CELLS * n;
  const group = idleScalar + 3 * dims * n;
  const queue = group + GROUP_CELLS * sizes.groups;
  const podSet = queue + QUEUE_CELLS * sizes.queues;
  const base: CellBase = {
    node: 0,
    idleScalar,
    releasingScalar: idleScalar + dims * n,
    usedScalar: idleScalar + 2 * dims * n,
    group,
    queue,
    podSet,
    task: podSet + SET_CELLS * sizes.podSets,
    groupCount: podSet + SET_CELLS * sizes.podSets + TASK_CELLS * sizes.pods,
  };
  const node = (i: number): Float64Array => cells.subarray(i * n, (i + 1) * n);
  const groupColumn = (i: number): Float64Array => cells.subarray(group + i * sizes.groups, group + (i + 1) * sizes.groups);
  return {
    sizes,
    header: new Int32Array(buffer, 0, HEADER_INTS),
    facts: {
      allocMilliCpu: fact(0),
      allocMemoryBytes: fact(1),
      allocGpu: fact(2),
      allocPods: fact(3),
      gpuMemoryMib: fact(4),
      spreadDevices: fact(5),
      devices: fact(6),
      row: int(0),
      flags: int(1),
      kind: int(2),
      allocScalar: f64(o.scalars, dims * n),
    },
    cells,
    base,
    ledger: {
      idleMilliCpu: node(NODE_CELL.idleMilliCpu),
      idleMemoryBytes: node(NODE_CELL.idleMemoryBytes),
      idleGpu: node(NODE_CELL.idleGpu),
      idlePods: node(NODE_CELL.idlePods),
      releasingMilliCpu: node(NODE_CELL.releasingMilliCpu),
      releasingMemoryBytes: node(NODE_CELL.releasingMemoryBytes),
      releasingGpu: node(NODE_CELL.releasingGpu),
      releasingPods: node(NODE_CELL.releasingPods),
      usedMilliCpu: node(NODE_CELL.usedMilliCpu),
      usedMemoryBytes: node(NODE_CELL.usedMemoryBytes),
      usedGpu: node(NODE_CELL.usedGpu),
      usedPods: node(NODE_CELL.usedPods),
      groupHead: node(NODE_CELL.groupHead),
      legacyMigTasks: node(NODE_CELL.legacyMigTasks),
      idleScalar: cells.subarray(base.idleScalar, base.releasingScalar),
      releasingScalar: cells.subarray(base.releasingScalar, base.usedScalar),
      usedScalar: cells.subarray(base.usedScalar, base.group),
    },
    groups: {
      next: groupColumn(GROUP_CELL.next),
      node: groupColumn(GROUP_CELL.node),
      usedMib: groupColumn(GROUP_CELL.usedMib),
      allocatedMib: groupColumn(GROUP_CELL.allocatedMib),
      releasingMib: groupColumn(GROUP_CELL.releasingMib),
      isMarked: groupColumn(GROUP_CELL.isMarked),
      hasAllocated: groupColumn(GROUP_CELL.hasAllocated),
    },
    slot(index: number): SlotColumns {
      const at = o.slots + index * o.slotStride;
      const ints = at + align(n * 8);
      const bytes = ints + align(n * 4);
      return {
        key: f64(at, n),
        lack: new Int32Array(buffer, ints, n),
        code: new Uint8Array(buffer, bytes, n),
        before: new Uint8Array(buffer, bytes + align(n), n),
        after: new Uint8Array(buffer, bytes + 2 * align(n), n),
      };
    },
  };
}
