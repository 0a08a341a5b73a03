import { ObjectKind } from '../../base/codes.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { readConstraints } from './labels.ts';
import { ObjectIndex } from './objectIndex.ts';

/** Which required config maps exist (spec 03 section 7.2, check `ConfigMap`). The table is read at the first question. */
export class ConfigMapIndex {
  private readonly view: SnapshotView;
  private readonly missingOf = new Map<number, readonly string[]>();
  private index: ObjectIndex | null = null;

  constructor(view: SnapshotView) {
    this.view = view;
  }

  /** Names of the required config maps that the signature's namespace lacks, sorted. */
  missing(signatureRow: number): readonly string[] {
    const known = this.missingOf.get(signatureRow);
    if (known !== undefined) return known;
    const spec = readConstraints(this.view, signatureRow);
    const names = (spec.configMaps ?? []).filter((name) => !this.exists(`${spec.namespace ?? ''}/${name}`)).sort();
    this.missingOf.set(signatureRow, names);
    return names;
  }

  private exists(key: string): boolean {
    this.index ??= new ObjectIndex(this.view, [ObjectKind.configMap]);
    return this.index.has(ObjectKind.configMap, key);
  }
}
