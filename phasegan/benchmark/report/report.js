
function comparable(box) {
  const input = box.querySelector("input");
  const show = () => {
    const share = (100 * input.value) / input.max;
    box.style.setProperty("--split", `${share}%`);
    input.setAttribute("aria-valuetext", `${Math.round(share)} % reference`);
  };
  input.addEventListener("input", show);
  show();
}

function copyable(box) {
  const code = box.querySelector("code");
  const text = [...code.children].map((command) => `${command.textContent}\n`).join("");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    let done = "copied";
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(code);
      done = "selected";
    }
    button.textContent = done;
    setTimeout(() => (button.textContent = "copy"), 2000);
  });
  box.append(button);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".compare").forEach(comparable);
  document.querySelectorAll(".commands").forEach(copyable);
});
