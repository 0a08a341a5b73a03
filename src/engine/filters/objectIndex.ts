import type { ObjectKind } from '../../base/codes.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';

/** `objects` rows of some kinds by key. Built in one pass over the table; the JSON is parsed when asked for. */
export class ObjectIndex {
  private readonly view: SnapshotView;
  /** Per kind: object row by key text row. */
  private readonly rowsByKind: ReadonlyMap<number, Map<number, number>>;

  constructor(view: SnapshotView, kinds: readonly ObjectKind[]) {
    this.view = view;
    const byKind = new Map(kinds.map((kind): [number, Map<number, number>] => [kind, new Map()]));
    const { rows, used, kindCode, keyText } = view.objects;
    for (let row = 0; row < rows; row++) {
      if (used[row] === 1) byKind.get(kindCode[row]!)?.set(keyText[row]!, row);
    }
    this.rowsByKind = byKind;
  }

  /** Whether an object of this key exists; `key` is "namespace/name" or "name". */
  has(kind: ObjectKind, key: string): boolean {
    return this.rowsByKind.get(kind)?.has(this.view.texts.find(key)) ?? false;
  }

  /** The projected object, or `undefined` when absent. */
  get(kind: ObjectKind, key: string): unknown {
    const row = this.rowsByKind.get(kind)?.get(this.view.texts.find(key));
    return row === undefined ? undefined : this.parse(row);
  }

  /** All objects of a kind with their keys, in key order (UTF-16 code units), so that row order decides nothing. */
  all(kind: ObjectKind): { readonly key: string; readonly object: unknown }[] {
    const out: { key: string; object: unknown }[] = [];
    for (const [keyText, row] of this.rowsByKind.get(kind) ?? []) {
      out.push({ key: this.view.texts.get(keyText), object: this.parse(row) });
    }
    return out.sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)));
  }

  private parse(row: number): unknown {
    const spec = this.view.objects.specJson[row] ?? NO_ROW;
    return spec < 0 ? {} : JSON.parse(this.view.texts.get(spec));
  }
}
