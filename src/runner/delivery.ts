import type { Decision, RawDecision } from '../base/decisions.ts';
import { KaiError } from '../base/errors.ts';
import { NO_ROW } from '../base/rows.ts';
import type { SnapshotView } from '../base/snapshotView.ts';

/**
 * Names the decisions of one run and hands each batch on exactly once. When an attempt fails, the next one repeats the cycle
 * from its start: batches that were handed on already are compared and skipped.
 */
export class Delivery {
  readonly decisions: Decision[] = [];
  readonly #view: SnapshotView;
  readonly #onDecisions: ((batch: readonly Decision[]) => void) | undefined;
  /** End of each batch in `decisions`. */
  readonly #batchEnds: number[] = [];
  /** Batches of the current attempt. */
  #taken = 0;

  constructor(view: SnapshotView, onDecisions: ((batch: readonly Decision[]) => void) | undefined) {
    this.#view = view;
    this.#onDecisions = onDecisions;
  }

  startAttempt(): void {
    this.#taken = 0;
  }

  /** Takes the next committed batch. Throws KaiError CYCLE_NOT_DETERMINISTIC when a repeated batch differs. */
  take(batch: readonly RawDecision[]): void {
    const named = batch.map((decision) => nameDecision(this.#view, decision));
    const index = this.#taken++;
    if (index < this.#batchEnds.length) {
      this.#compare(index, named);
      return;
    }
    for (const decision of named) this.decisions.push(decision);
    this.#batchEnds.push(this.decisions.length);
    this.#onDecisions?.(named);
  }

  /** To be called when an attempt succeeded: it must have repeated all that was handed on, and have sent `batches`. */
  endAttempt(batches: number): void {
    if (this.#taken === batches && batches === this.#batchEnds.length) return;
    throw new KaiError(
      'CYCLE_NOT_DETERMINISTIC',
      `the cycle committed ${batches} batches of decisions, ${this.#taken} arrived, and ${this.#batchEnds.length} were handed on`,
    );
  }

  #compare(index: number, repeated: readonly Decision[]): void {
    const delivered = this.decisions.slice(index === 0 ? 0 : this.#batchEnds[index - 1]!, this.#batchEnds[index]!);
    const before = JSON.stringify(delivered);
    const now = JSON.stringify(repeated);
    if (before === now) return;
    throw new KaiError(
      'CYCLE_NOT_DETERMINISTIC',
      `the repeated cycle decided otherwise in batch ${index}: first ${excerpt(before)}, then ${excerpt(now)}`,
    );
  }
}

function excerpt(json: string): string {
  return json.length <= 300 ? json : `${json.slice(0, 300)}…`;
}

/** Adds the names. A plain copy with one key order, the same whether the decision crossed the ring or not. */
function nameDecision(view: SnapshotView, raw: RawDecision): Decision {
  const { pods, podGroups, nodes } = view;
  const named: Decision = {
    kind: raw.kind,
    action: raw.action,
    pod: textAt(view, pods.keyText, raw.podRow),
    podUid: textAt(view, pods.uidText, raw.podRow),
    podGroup: textAt(view, podGroups.keyText, raw.podGroupRow),
    node: textAt(view, nodes.nameText, raw.nodeRow),
    podRow: raw.podRow,
    podGroupRow: raw.podGroupRow,
    nodeRow: raw.nodeRow,
    receivedType: raw.receivedType,
    gpuCount: raw.gpuCount,
    gpuPortion: raw.gpuPortion,
    gpuGroups: [...raw.gpuGroups],
  };
  return raw.details === undefined ? named : { ...named, details: raw.details };
}

function textAt(view: SnapshotView, column: Int32Array, row: number): string {
  return row === NO_ROW ? '' : view.texts.get(column[row]!);
}
