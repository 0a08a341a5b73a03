import type { DecisionDetails, RawDecision } from './decisions.ts';
import type { NodeRow, PodGroupRow, PodRow } from './rows.ts';

/**
 * Binary form of a batch of decisions between two threads of one process, little-endian: a count (int32), then per decision
 * 20 fixed bytes (kind, action code, received type, which texts follow, then int32: pod, group and node row, GPU count) and
 * the texts that are present, each as byte length (int32) and UTF-8: action, portion, groups as JSON, details as JSON.
 */
const FIXED_BYTES = 20;
const KINDS = ['bind', 'pipeline', 'evict'] as const satisfies readonly RawDecision['kind'][];
/** Action code of a name that is not in the list of actions; the name follows as text. */
const OTHER_ACTION = 255;
const HAS_PORTION = 1;
const HAS_GROUPS = 2;
const HAS_DETAILS = 4;

/** Encodes batches into one growing buffer. `actions`: names that get a code; the decoder must be given the same list. */
export class BatchEncoder {
  readonly #actionCodes: ReadonlyMap<string, number>;
  readonly #utf8 = new TextEncoder();
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  constructor(actions: readonly string[]) {
    this.#actionCodes = new Map(actions.slice(0, OTHER_ACTION).map((name, code) => [name, code]));
  }

  /** The bytes of the batch, valid until the next call. */
  encode(batch: readonly RawDecision[]): Uint8Array {
    this.#at = 4;
    this.#view.setInt32(0, batch.length, true);
    for (const decision of batch) this.#putDecision(decision);
    return this.#bytes.subarray(0, this.#at);
  }

  #putDecision(d: RawDecision): void {
    this.#reserve(FIXED_BYTES);
    const view = this.#view;
    const at = this.#at;
    const actionCode = this.#actionCodes.get(d.action) ?? OTHER_ACTION;
    const hasGroups = d.gpuGroups.length > 0;
    view.setUint8(at, KINDS.indexOf(d.kind));
    view.setUint8(at + 1, actionCode);
    view.setUint8(at + 2, d.receivedType);
    view.setUint8(
      at + 3,
      (d.gpuPortion === '' ? 0 : HAS_PORTION) | (hasGroups ? HAS_GROUPS : 0) | (d.details === undefined ? 0 : HAS_DETAILS),
    );
    view.setInt32(at + 4, d.podRow, true);
    view.setInt32(at + 8, d.podGroupRow, true);
    view.setInt32(at + 12, d.nodeRow, true);
    view.setInt32(at + 16, d.gpuCount, true);
    this.#at = at + FIXED_BYTES;
    if (actionCode === OTHER_ACTION) this.#putText(d.action);
    if (d.gpuPortion !== '') this.#putText(d.gpuPortion);
    if (hasGroups) this.#putText(JSON.stringify(d.gpuGroups));
    if (d.details !== undefined) this.#putText(JSON.stringify(d.details));
  }

  #putText(text: string): void {
    this.#reserve(4 + 3 * text.length);
    const start = this.#at + 4;
    const { written } = this.#utf8.encodeInto(text, this.#bytes.subarray(start));
    this.#view.setInt32(this.#at, written, true);
    this.#at = start + written;
  }

  #reserve(more: number): void {
    if (this.#at + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#at + more, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/** Decodes one batch piece by piece, so that a large one does not block the reader's thread. */
export class BatchDecoder {
  readonly #actions: readonly string[];
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #utf8 = new TextDecoder();
  readonly #decoded: RawDecision[] = [];
  readonly #count: number;
  #at = 4;

  /** `bytes` as BatchEncoder wrote them; they must stay unchanged until the batch is complete. */
  constructor(bytes: Uint8Array, actions: readonly string[]) {
    this.#actions = actions;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#count = this.#view.getInt32(0, true);
  }

  /** Decodes at most `limit` more decisions; the whole batch once the last one is decoded, else undefined. */
  next(limit: number): readonly RawDecision[] | undefined {
    const end = Math.min(this.#count, this.#decoded.length + limit);
    while (this.#decoded.length < end) this.#decoded.push(this.#decision());
    return this.#decoded.length === this.#count ? this.#decoded : undefined;
  }

  #decision(): RawDecision {
    const view = this.#view;
    const at = this.#at;
    this.#at = at + FIXED_BYTES;
    const actionCode = view.getUint8(at + 1);
    const texts = view.getUint8(at + 3);
    const fixed = {
      kind: KINDS[view.getUint8(at)]!,
      action: actionCode === OTHER_ACTION ? this.#text() : this.#actions[actionCode]!,
      podRow: view.getInt32(at + 4, true) as PodRow,
      podGroupRow: view.getInt32(at + 8, true) as PodGroupRow,
      nodeRow: view.getInt32(at + 12, true) as NodeRow,
      receivedType: view.getUint8(at + 2),
      gpuCount: view.getInt32(at + 16, true),
      gpuPortion: (texts & HAS_PORTION) === 0 ? '' : this.#text(),
      gpuGroups: (texts & HAS_GROUPS) === 0 ? [] : (JSON.parse(this.#text()) as string[]),
    };
    return (texts & HAS_DETAILS) === 0 ? fixed : { ...fixed, details: JSON.parse(this.#text()) as DecisionDetails };
  }

  #text(): string {
    const start = this.#at + 4;
    this.#at = start + this.#view.getInt32(this.#at, true);
    return this.#utf8.decode(this.#bytes.subarray(start, this.#at));
  }
}
