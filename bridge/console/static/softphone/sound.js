/** The microphone and the speaker of this device, as one call needs them. */

const PLACE = new URL(".", import.meta.url);
const WANTED = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** What keeps a call from having sound; `message` is a sentence with the remedy. */
export class SoundError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "SoundError";
    this.code = code;
  }
}

const SENTENCES = {
  NotAllowedError: ["refused", "The microphone was refused. Allow it for this page in the browser, then call again."],
  NotFoundError: ["none", "There is no microphone. Connect one, then call again."],
  OverconstrainedError: ["gone", "The chosen microphone is gone. Choose another one, then call again."],
  NotReadableError: ["busy", "The microphone cannot be used; perhaps another program holds it. Close that, then call again."],
};

/** Whether this page may use the microphone at all. Throws `SoundError`, with how it may. */
export function checkPlace() {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    throw new SoundError(
      "insecure",
      "Browsers give the microphone to safe addresses only: open this page over https, or on the bridge's own machine" +
        ` as http://localhost${location.port ? `:${location.port}` : ""}/softphone.`,
    );
  }
  if (!window.AudioWorkletNode) {
    throw new SoundError("old", "This browser is too old for the softphone: it has no AudioWorklet. Use a newer one.");
  }
}

/** An open microphone and speaker. */
export class Sound {
  /**
   * Open both. Asks for the microphone where it was not given before.
   *
   * @param {object} chosen `microphone` and `speaker`: ids of devices; empty: the usual one
   * @param {object} does `frame({frame, level, at})`, `marks(names, cleared)`, `dropped(seconds, at)`, `sound(at)`,
   *   `level(level, waiting)`, `lost()` (the microphone is gone)
   * @throws {SoundError}
   */
  static async open(chosen, does) {
    checkPlace();
    const stream = await microphone(chosen.microphone);
    const context = new AudioContext({ latencyHint: "interactive" });
    try {
      await Promise.all(["microphone.js", "speaker.js"].map((file) => load(context, file)));
      await context.resume();
      const sound = new Sound(context, does);
      sound.connect(stream);
      if (chosen.speaker) await sound.playOn(chosen.speaker).catch(() => {}); // It is gone: the usual one, then.
      return sound;
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      await context.close();
      if (error instanceof SoundError) throw error;
      throw new SoundError("broken", `The browser could not start its sound: ${error.message}`);
    }
  }

  constructor(context, does) {
    this.context = context;
    this.does = does;
    this.muted = false;
    this.stream = null;
    this.source = null;
    this.hears = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 1 });
    this.plays = new AudioWorkletNode(context, "speaker", { numberOfInputs: 0, outputChannelCount: [1] });
    this.hears.connect(context.destination); // It plays nothing; what leads nowhere is not run.
    this.plays.connect(context.destination);
    // Phones stop sound for a call or an alarm, and leave it to pages to begin anew.
    context.onstatechange = () => {
      if (!["running", "closed"].includes(context.state)) context.resume().catch(() => {});
    };
    this.hears.port.onmessage = ({ data }) => does.frame(data);
    this.plays.port.onmessage = ({ data }) => this.take(data);
  }

  take(message) {
    if (message.marks) this.does.marks(message.marks, message.cleared);
    else if (message.dropped !== undefined) this.does.dropped(message.dropped, message.at);
    else if (message.sound !== undefined) this.does.sound(message.sound);
    else this.does.level(message.level, message.waiting);
  }

  connect(stream) {
    this.source?.disconnect();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = stream;
    this.mute(this.muted);
    this.source = new MediaStreamAudioSourceNode(this.context, { mediaStream: stream });
    this.source.connect(this.hears);
    stream.getAudioTracks()[0]?.addEventListener("ended", () => this.does.lost());
  }

  /** Use another microphone from now on. @throws {SoundError} */
  async hearWith(id) {
    this.connect(await microphone(id));
  }

  /** Use another speaker from now on, where the browser can. */
  async playOn(id) {
    await this.context.setSinkId?.(id);
  }

  /** Let nothing of the microphone in; the frames go on, silent. */
  mute(muted) {
    this.muted = muted;
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  /** @param {Uint8Array} audio mu-law */
  media(audio) {
    this.plays.port.postMessage({ media: audio }, [audio.buffer]);
  }

  mark(name) {
    this.plays.port.postMessage({ mark: name });
  }

  clear() {
    this.plays.port.postMessage({ clear: true });
  }

  /** Let go of both. */
  async close() {
    this.hears.port.onmessage = null;
    this.plays.port.onmessage = null;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    if (this.context.state !== "closed") await this.context.close();
  }
}

async function load(context, file) {
  try {
    await context.audioWorklet.addModule(new URL(file, PLACE));
  } catch (error) {
    console.error(error);
    throw new SoundError("away", "The bridge cannot be reached. Is it running, and are you online?");
  }
}

async function microphone(id) {
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { ...WANTED, ...(id ? { deviceId: { exact: id } } : {}) },
    });
  } catch (error) {
    const [code, sentence] = SENTENCES[error.name] ?? ["broken", `The microphone cannot be used: ${error.message}`];
    throw new SoundError(code, sentence);
  }
}

/** Microphones and speakers, by id and name; their names are known once the microphone was allowed. */
export async function devices() {
  const found = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const of = (kind) => found.filter((one) => one.kind === kind && one.deviceId && one.label);
  const can = "setSinkId" in (window.AudioContext?.prototype ?? {});
  return { microphones: of("audioinput"), speakers: can ? of("audiooutput") : [] };
}
