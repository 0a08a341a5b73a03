// The snapshot's claims, slices and classes.
import { ObjectKind } from '../../base/codes.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { asRecord, type JsonRecord } from './json.ts';

/** Objects by key ("namespace/name" or "name"), sorted by it. */
type NamedObjects = readonly (readonly [key: string, object: JsonRecord])[];

interface DraObjects {
  readonly claims: NamedObjects;
  readonly slices: NamedObjects;
  readonly classes: NamedObjects;
}

export const NO_OBJECTS: DraObjects = Object.freeze({ claims: [], slices: [], classes: [] });

export function readDraObjects(view: SnapshotView): DraObjects {
  return {
    claims: readKind(view, ObjectKind.resourceClaim),
    slices: readKind(view, ObjectKind.resourceSlice),
    classes: readKind(view, ObjectKind.deviceClass),
  };
}

function readKind(view: SnapshotView, kind: ObjectKind): NamedObjects {
  const { rows, used, kindCode, keyText, specJson } = view.objects;
  const out: [string, JsonRecord][] = [];
  for (let row = 0; row < rows; row++) {
    if (used[row] !== 1 || kindCode[row] !== kind || specJson[row] === NO_ROW) continue;
    out.push([view.texts.get(keyText[row]!), asRecord(JSON.parse(view.texts.get(specJson[row]!)))]);
  }
  return out.sort(([a], [b]) => (a < b ? -1 : 1));
}
