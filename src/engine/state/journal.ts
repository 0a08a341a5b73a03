/**
 * Undo log over one vector of cells. Everything that changes while a cycle runs (node ledgers, GPU groups, queue sums,
 * counters, task states) is a cell, so that a trial of any depth is undone exactly, in time proportional to its changes.
 * Undo is last in, first out: `rollback(mark())` restores the cells bit for bit.
 */
export interface Journal {
  readonly cells: Float64Array;
  /** Cell of each entry, or −1 − node for "this node changed" marks. */
  entryCell: Int32Array;
  entryOld: Float64Array;
  length: number;
  /** False while a cycle opens: nothing of that is ever undone. */
  isRecording: boolean;
  /** Nodes whose ledgers changed, in order; class indexes keep a cursor into it. */
  changed: Int32Array;
  changedLength: number;
}

export function createJournal(cells: Float64Array): Journal {
  return {
    cells,
    entryCell: new Int32Array(4096),
    entryOld: new Float64Array(4096),
    length: 0,
    isRecording: false,
    changed: new Int32Array(4096),
    changedLength: 0,
  };
}

/** Sets a cell, remembering its old value. */
export function write(j: Journal, cell: number, value: number): void {
  const old = j.cells[cell]!;
  if (old === value) return;
  j.cells[cell] = value;
  if (!j.isRecording) return;
  if (j.length === j.entryCell.length) grow(j);
  j.entryCell[j.length] = cell;
  j.entryOld[j.length] = old;
  j.length++;
}

/** Adds to a cell, remembering its old value. */
export function add(j: Journal, cell: number, delta: number): void {
  if (delta === 0) return;
  const old = j.cells[cell]!;
  j.cells[cell] = old + delta;
  if (!j.isRecording) return;
  if (j.length === j.entryCell.length) grow(j);
  j.entryCell[j.length] = cell;
  j.entryOld[j.length] = old;
  j.length++;
}

/** Notes that a node's ledgers changed, now and again when the change is undone. */
export function touchNode(j: Journal, node: number): void {
  if (!j.isRecording) return;
  if (j.length === j.entryCell.length) grow(j);
  j.entryCell[j.length] = -1 - node;
  j.entryOld[j.length] = 0;
  j.length++;
  logChange(j, node);
}

export function mark(j: Journal): number {
  return j.length;
}

/** Undoes every change since the mark. */
export function rollback(j: Journal, to: number): void {
  const { cells, entryCell, entryOld } = j;
  for (let i = j.length - 1; i >= to; i--) {
    const cell = entryCell[i]!;
    if (cell >= 0) cells[cell] = entryOld[i]!;
    else logChange(j, -1 - cell);
  }
  j.length = to;
}

/** Forgets how to undo: what happened so far is final. */
export function seal(j: Journal): void {
  j.length = 0;
}

function logChange(j: Journal, node: number): void {
  if (j.changedLength === j.changed.length) {
    const next = new Int32Array(j.changed.length * 2);
    next.set(j.changed);
    j.changed = next;
  }
  j.changed[j.changedLength++] = node;
}

function grow(j: Journal): void {
  const cells = new Int32Array(j.entryCell.length * 2);
  cells.set(j.entryCell);
  j.entryCell = cells;
  const old = new Float64Array(j.entryOld.length * 2);
  old.set(j.entryOld);
  j.entryOld = old;
}
