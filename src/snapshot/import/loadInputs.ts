import { readFile, stat } from 'node:fs/promises';
import { KaiError } from '../../base/errors.ts';
import { findInputFiles, type InputFile } from './inputFiles.ts';
import type { LoadedInput } from './loadedInput.ts';
import { addSnapshotDocument, createDocumentSink, type DocumentSink, finishInput, isSnapshotDocument } from './snapshotDocument.ts';
import { yamlDocuments } from './yamlDocuments.ts';
import { MAX_TEXT_BYTES, readSnapshotEntry, tooLarge } from './zipEntry.ts';

/**
 * Reads and merges cluster objects from files: Kubernetes YAML (any number of documents) and JSON, Lists, the snapshot zip
 * and its bare snapshot.json (spec 01 section 6.2), conformance cases. A path may be a file, a directory or a pattern.
 * What is wrong with single objects is in `problems`. Throws KaiError when a path stands for nothing or a file that was
 * named itself cannot be used at all; such a file found in a directory is a problem.
 */
export async function loadInputs(paths: readonly string[]): Promise<LoadedInput> {
  const sink = createDocumentSink();
  for (const file of await findInputFiles(paths)) {
    try {
      await addFile(sink, file);
    } catch (error) {
      if (file.isExplicit || !(error instanceof KaiError)) throw error;
      const message = error.message.replace(`${file.path}: `, '');
      sink.collector.problems.push({ source: file.path, object: '', field: '', message });
    }
  }
  return finishInput(sink);
}

async function addFile(sink: DocumentSink, file: InputFile): Promise<void> {
  const bytes = await readBytes(file.path);
  const isZip = bytes.length >= 4 && bytes.readUInt32LE(0) === 0x04034b50;
  const text = isZip ? await readSnapshotEntry(bytes, file.path) : bytes.toString('utf8').replace(/^\ufeff/, '');
  const { problems } = sink.collector;
  const problemsBefore = problems.length;
  const isUsed = addText(sink, text, file.path);
  if (isUsed || !file.isExplicit) return;
  const first = problems[problemsBefore];
  throw new KaiError('BAD_INPUT', `${file.path}: ${first === undefined ? 'holds no Kubernetes object and no snapshot' : first.message}`);
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    const { size } = await stat(path);
    if (size > MAX_TEXT_BYTES) throw tooLarge(path, size, MAX_TEXT_BYTES);
    return await readFile(path);
  } catch (error) {
    if (error instanceof KaiError) throw error;
    throw new KaiError('UNREADABLE', `${path}: cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Whether the text held anything of use. */
function addText(sink: DocumentSink, text: string, source: string): boolean {
  if (/^\s*[{[]/.test(text)) {
    try {
      return addDocument(sink, JSON.parse(text), source, '');
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      // YAML may begin with a bracket too; only then is a broken JSON text worth a second look.
      if (!/\.ya?ml$/i.test(source)) throw new KaiError('BAD_INPUT', `${source}: not valid JSON: ${oneLine(error.message)}`);
    }
  }
  let isUsed = false;
  for (const document of yamlDocuments(text)) {
    const position = `document at line ${document.line}`;
    if ('error' in document) {
      sink.collector.problems.push({ source, object: position, field: '', message: oneLine(document.error) });
    } else if (addDocument(sink, document.value, source, position)) {
      isUsed = true;
    }
  }
  return isUsed;
}

function addDocument(sink: DocumentSink, value: unknown, source: string, position: string): boolean {
  const { collector } = sink;
  if (isSnapshotDocument(value)) {
    addSnapshotDocument(sink, value, source);
    return true;
  }
  const before = collector.count();
  const items = Array.isArray(value) ? value : [value];
  for (const [i, item] of items.entries()) {
    if (isSnapshotDocument(item)) addSnapshotDocument(sink, item, source);
    else collector.addByKind(item, source, items.length === 1 ? position : `${position} item ${i}`.trim());
  }
  return collector.count() > before || items.some(isSnapshotDocument);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ');
}
