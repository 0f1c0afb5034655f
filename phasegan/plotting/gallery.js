
function sizable(input) {
  input.addEventListener("input", () => {
    document.documentElement.style.setProperty("--zoom", input.value / 100);
    input.setAttribute("aria-valuetext", `${input.value} %`);
  });
}

/* All pictures of a row lie on each other, so that stepping changes nothing but the picture. */
class Viewer {
  constructor(dialog) {
    this.dialog = dialog;
    const part = (name) => dialog.querySelector(name);
    [this.name, this.stage, this.said] = ["#viewer-name", ".stage", ".said"].map(part);
    [this.thumbnails, this.up, this.down] = [".row", ".up", ".down"].map(part);
    this.strips = [...document.querySelectorAll(".strip")].filter((s) => s.querySelector(".open"));
    this.up.addEventListener("click", () => this.turn(-1));
    this.down.addEventListener("click", () => this.turn(1));
    part(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("keydown", (event) => this.press(event));
    dialog.addEventListener("close", () => this.closed());
    this.stage.addEventListener("click", (event) => {
      if (event.target === this.stage) dialog.close();
      else this.step(1);
    });
    this.swipe();
  }

  open(strip, column) {
    this.row = this.strips.indexOf(strip);
    this.column = column;
    this.fill();
    if (!this.dialog.open) this.dialog.showModal();
    this.buttons[this.place].focus();
  }

  fill() {
    const strip = this.strips[this.row];
    const all = [...strip.querySelectorAll(".tile")];
    this.tiles = all.filter((tile) => tile.querySelector(".open"));
    this.columns = this.tiles.map((tile) => all.indexOf(tile));
    this.name.textContent = strip.querySelector(".name").textContent;
    this.layers = this.tiles.map((tile) => {
      const shown = tile.querySelector("img").cloneNode();
      shown.loading = "eager";
      shown.decoding = "sync";
      return shown;
    });
    this.buttons = this.tiles.map((tile, index) => {
      const button = document.createElement("button");
      button.type = "button";
      const picture = this.layers[index].cloneNode();
      picture.alt = "";
      const label = document.createElement("span");
      label.textContent = tile.querySelector("figcaption").textContent;
      button.append(picture, label);
      button.addEventListener("click", () => this.show(index));
      return button;
    });
    this.stage.replaceChildren(...this.layers);
    this.thumbnails.replaceChildren(...this.buttons);
    this.up.disabled = this.row === 0;
    this.down.disabled = this.row === this.strips.length - 1;
    const nearest = this.columns.findLastIndex((column) => column <= this.column);
    this.show(Math.max(nearest, 0), false);
  }

  show(place, kept = true) {
    this.place = place;
    if (kept) this.column = this.columns[place];
    this.layers.forEach((layer, index) => layer.classList.toggle("now", index === place));
    this.buttons.forEach((button, index) => {
      if (index === place) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    this.buttons[place].scrollIntoView({ block: "nearest", inline: "nearest" });
    const label = this.tiles[place].querySelector("figcaption").textContent;
    this.said.textContent = `${label} · ${place + 1} of ${this.tiles.length}`;
  }

  step(by) {
    this.show((this.place + by + this.tiles.length) % this.tiles.length);
    this.buttons[this.place].focus();
  }

  turn(by) {
    const row = this.row + by;
    if (row < 0 || row >= this.strips.length) return;
    this.row = row;
    this.fill();
    this.buttons[this.place].focus();
  }

  press(event) {
    const moves = {
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      ArrowUp: () => this.turn(-1),
      ArrowDown: () => this.turn(1),
    };
    const move = moves[event.key];
    if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    move();
  }

  swipe() {
    let from = null;
    this.stage.addEventListener("touchstart", (event) => {
      from = event.touches.length === 1 ? event.touches[0].clientX : null;
    }, { passive: true });
    this.stage.addEventListener("touchend", (event) => {
      if (from === null) return;
      const way = event.changedTouches[0].clientX - from;
      if (Math.abs(way) < 40) return;
      event.preventDefault();
      this.step(way < 0 ? 1 : -1);
    });
  }

  closed() {
    const last = this.tiles[this.place].querySelector(".open");
    this.stage.replaceChildren();
    this.thumbnails.replaceChildren();
    last.scrollIntoView({ block: "nearest" });
    last.focus({ preventScroll: true });
  }
}

function openable(strip, viewer) {
  const buttons = [...strip.querySelectorAll(".open")];
  buttons.forEach((button, place) => {
    button.setAttribute("aria-haspopup", "dialog");
    const column = [...strip.querySelectorAll(".tile")].indexOf(button.closest(".tile"));
    button.addEventListener("click", () => viewer.open(strip, column));
    button.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by && !event.altKey && buttons[place + by]) {
        event.preventDefault();
        buttons[place + by].focus();
      }
    });
  });
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".size input").forEach(sizable);
  const viewer = new Viewer(document.querySelector("dialog"));
  viewer.strips.forEach((strip) => openable(strip, viewer));
});

addEventListener("beforeprint", () => {
  document.querySelectorAll("img[loading]").forEach((picture) => (picture.loading = "eager"));
});
