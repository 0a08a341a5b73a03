import { NODE_NOT_USABLE } from '../../base/codes.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { ABSENT, labelValueRow } from '../filters/labels.ts';
import type { Evaluator } from '../placement/evaluate.ts';
import type { Request } from '../placement/requests.ts';
import type { Journal } from '../state/journal.ts';
import type { Area } from './area.ts';
import { FREE, freeInto, slotsOf } from './capacity.ts';
import { buildDomainTree, type DomainTree } from './domainTree.ts';
import type { TopologyLevel } from './levels.ts';
import { createTally, current, type Measure, sumOver, type Tally } from './tally.ts';

/** Slot tallies kept per tree; the least recently used gives way. */
const MAX_SHAPES = 32;

/** Reasons of the nodes that refused a task; every node counts once. */
export interface Refusals {
  readonly isCounted: Uint8Array;
  readonly counts: Map<string, number>;
}

interface TreeState {
  readonly tree: DomainTree;
  readonly free: Tally;
  /** By shape row, least recently used first. */
  readonly slots: Map<number, Tally>;
}

/** Topology-aware placement of one cycle: domain trees and what is free in their domains (spec 06 sections 4, 5.2, 5.3). */
export class TopologySession {
  /** Plugin `topology` is on; else constraints mean nothing. */
  readonly isOn: boolean;
  /** Why nodes refused a task, over all node sets it was tried in, by pod row. */
  readonly refusals = new Map<number, Refusals>();
  readonly #view: SnapshotView;
  readonly #evaluator: Evaluator;
  readonly #journal: Journal;
  readonly #levels: ReadonlyMap<string, readonly TopologyLevel[]>;
  readonly #trees = new Map<string, TreeState>();
  readonly #measureFree: Measure;

  constructor(
    isOn: boolean,
    levels: ReadonlyMap<string, readonly TopologyLevel[]>,
    view: SnapshotView,
    evaluator: Evaluator,
    journal: Journal,
  ) {
    this.isOn = isOn;
    this.#levels = levels;
    this.#view = view;
    this.#evaluator = evaluator;
    this.#journal = journal;
    this.#measureFree = (n, out) => {
      if (this.#isUsable(n)) freeInto(evaluator.state, n, out);
      else out.fill(0);
    };
  }

  /** Domain tree of a topology, built when it is first asked for; null when there is no such Topology object. */
  tree(name: string): DomainTree | null {
    return this.#stateOf(name)?.tree ?? null;
  }

  /** Free amounts by domain × `freeColumns`, counting the usable nodes of the area. */
  freeIn(tree: DomainTree, area: Area): Float64Array {
    if (!area.isWhole) return sumOver(tree, area.nodes, this.freeColumns, this.#measureFree);
    return current(this.#trees.get(tree.name)!.free, this.#journal);
  }

  get freeColumns(): number {
    return FREE.firstScalar + this.#evaluator.state.sizes.dims;
  }

  /** Slots for a request by domain, counting the usable nodes of the area. */
  slotsIn(tree: DomainTree, area: Area, request: Request): Float64Array {
    const { state, delegatedDims } = this.#evaluator;
    const measure: Measure = (n, out) => {
      out[0] = this.#isUsable(n) ? slotsOf(state, request, delegatedDims, n) : 0;
    };
    if (!area.isWhole) return sumOver(tree, area.nodes, 1, measure);
    const { slots } = this.#trees.get(tree.name)!;
    const tally = slots.get(request.shapeRow) ?? createTally(tree, state.sizes.nodes, 1, measure);
    slots.delete(request.shapeRow);
    slots.set(request.shapeRow, tally);
    const oldest = slots.keys().next();
    if (slots.size > MAX_SHAPES && oldest.done !== true) slots.delete(oldest.value);
    return current(tally, this.#journal);
  }

  /** Nodes that refuse every task count as full (deviation of spec 06 section 4). */
  #isUsable(n: number): boolean {
    return !this.#evaluator.policies.predicates || (this.#evaluator.state.facts.flags[n]! & NODE_NOT_USABLE) === 0;
  }

  #stateOf(name: string): TreeState | null {
    const known = this.#trees.get(name);
    if (known !== undefined) return known;
    const levels = this.#levels.get(name);
    if (levels === undefined) return null;
    const tree = this.#build(
      name,
      levels.map((level) => level.nodeLabel),
    );
    const state: TreeState = {
      tree,
      free: createTally(tree, this.#evaluator.state.sizes.nodes, this.freeColumns, this.#measureFree),
      slots: new Map(),
    };
    this.#trees.set(name, state);
    return state;
  }

  #build(name: string, labels: readonly string[]): DomainTree {
    const { texts, labelSets, nodes } = this.#view;
    const { facts, sizes } = this.#evaluator.state;
    const keys = labels.map((label) => texts.find(label));
    const empty = texts.find('');
    return buildDomainTree(name, labels, sizes.nodes, {
      row: (level, node) => {
        // A label that no object carries has no key row.
        if (keys[level]! < 0) return ABSENT;
        const row = labelValueRow(labelSets, nodes.labelSetRow[facts.row[node]!]!, keys[level]!);
        return row === empty && row >= 0 ? NO_ROW : row;
      },
      text: (row) => (row === NO_ROW ? '' : texts.get(row)),
    });
  }
}
