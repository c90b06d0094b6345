/* Moves the sliders between two pictures. Without it both pictures stand side by side, and there is no slider. */
for (const box of document.querySelectorAll('.compare')) {
  const input = box.querySelector('input'), stack = box.querySelector('.stack');
  const show = () => {
    box.style.setProperty('--at', input.value + '%');
    input.setAttribute('aria-valuetext', 'left ' + input.value + ' % before, the rest after');
  };
  const drag = event => {
    if (event.buttons) {
      const frame = stack.getBoundingClientRect();
      input.value = 100 * (event.clientX - frame.left) / frame.width;
      show();
    }
  };
  input.hidden = false;
  input.oninput = show;
  stack.onpointerdown = stack.onpointermove = drag;
  stack.ondragstart = () => false;
  box.classList.add('live');
  show();
}
