import { ByteBuffer } from 'flatbuffers';
import { KaiError } from '../base/errors.ts';
import type { SnapshotOptions, SnapshotView } from '../base/snapshotView.ts';
import { Snapshot } from './generated/kai/snapshot.ts';
import { viewTables } from './generated/layout.gen.ts';
import { FILE_IDENTIFIER, LAYOUT_VERSION, need, TABLE_NAMES } from './layout.ts';
import { TextsView } from './textsView.ts';

/** Views of a sealed snapshot, nothing copied; for any thread. Throws a KaiError when the bytes are no snapshot. */
export function viewSnapshot(buffer: SharedArrayBuffer): SnapshotView {
  const bytes = new ByteBuffer(new Uint8Array(buffer));
  if (buffer.byteLength < 8 || !bytes.__has_identifier(FILE_IDENTIFIER)) {
    throw new KaiError('SNAPSHOT_CORRUPTED', `the snapshot does not carry the identifier ${FILE_IDENTIFIER}`);
  }
  try {
    return viewRoot(buffer, Snapshot.getRootAsSnapshot(bytes));
  } catch (error) {
    if (error instanceof KaiError) throw error;
    throw new KaiError('SNAPSHOT_CORRUPTED', `the tables of the snapshot do not lie within its ${buffer.byteLength} bytes`, {
      cause: error,
    });
  }
}

function viewRoot(buffer: SharedArrayBuffer, root: Snapshot): SnapshotView {
  const version = root.layoutVersion();
  if (version === 0) throw new KaiError('SNAPSHOT_CORRUPTED', 'the snapshot does not say which table layout it has');
  if (version > LAYOUT_VERSION) {
    throw new KaiError('SNAPSHOT_NEWER', `the snapshot has table layout ${version}; this program reads ${LAYOUT_VERSION}`);
  }
  const { texts: textColumns, ...tables } = viewTables(root, need);
  const all = { texts: textColumns, ...tables };
  for (const name of TABLE_NAMES) {
    const { rows, used } = all[name];
    if (rows > used.length) throw new KaiError('SNAPSHOT_CORRUPTED', `table ${name} has ${rows} rows but room for ${used.length}`);
  }
  const texts = new TextsView(textColumns);
  const options = JSON.parse(texts.get(need(root.optionsJsonArray(), 'options_json')[0]!)) as SnapshotOptions;
  return { buffer, generation: root.generation(), options: Object.freeze(options), texts, ...tables };
}

/** The text columns behind a view of this module; `Texts` itself only reads strings. */
export function textColumnsOf(view: SnapshotView): TextsView['columns'] {
  if (!(view.texts instanceof TextsView)) throw new KaiError('SNAPSHOT_FOREIGN', 'the view was not made by viewSnapshot');
  return view.texts.columns;
}
