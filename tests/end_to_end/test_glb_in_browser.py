"""mesh.glb in a page of Chromium, read by the three.js that trimesh brings."""

import base64
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import trimesh

from ovs3d.cli.main import main
from tests.end_to_end.box_scene import CLASSES

pytest.importorskip("playwright", reason="needs Playwright: pip install playwright")
pytest.importorskip("open3d", reason="meshes need open3d", exc_type=ImportError)

from tools.browser import find_chromium, start_browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium: apt-get install chromium"),
]
READ = """async (file) => {
    const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
    const loader = new THREE.GLTFLoader();
    window.loaded = (await new Promise((done, failed) => loader.parse(bytes.buffer, "", done, failed))).scene;
    const found = {};
    loaded.traverse((node) => { if (node.isMesh) found[node.userData.name] = node.geometry.index.count / 3; });
    return found;
}"""
DRAW = """(name) => {
    const renderer = new THREE.WebGLRenderer({alpha: true});
    renderer.setClearColor(0, 0);
    renderer.outputEncoding = THREE.sRGBEncoding;
    renderer.setSize(128, 128);
    const scene = new THREE.Scene();
    scene.add(loaded);
    loaded.traverse((node) => { if (node.isMesh) node.visible = node.userData.name === name; });
    const box = new THREE.Box3();
    loaded.traverse((node) => { if (node.visible && node.isMesh) box.expandByObject(node); });
    const ball = box.getBoundingSphere(new THREE.Sphere());
    const camera = new THREE.PerspectiveCamera(50, 1, 0.01 * ball.radius, 100 * ball.radius);
    camera.position.set(1, 1, 1).multiplyScalar(1.5 * ball.radius).add(ball.center);
    camera.lookAt(ball.center);
    renderer.render(scene, camera);
    const pixels = new Uint8Array(4 * 128 * 128), gl = renderer.getContext();
    gl.readPixels(0, 0, 128, 128, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    return Array.from(pixels);
}"""


def page_with_three() -> str:
    """An empty page that has three.js and its reader of GLB."""
    templates = Path(trimesh.__file__).parent / "resources" / "templates" / "viewer.zip"
    page = ZipFile(templates).read("viewer.html.template").decode()
    return page[: page.index("var camera,controls,scene")] + "</script></body></html>"


def test_classes_and_their_colours(run: Path, tmp_path: Path) -> None:
    assert main(["export", str(run), "--what", "mesh", "--out", str(tmp_path)]) == 0
    own: Any = trimesh.load_scene(tmp_path / "mesh.glb")
    whole: Any = trimesh.load_mesh(tmp_path / "mesh.ply", process=False)
    with start_browser() as browser:
        page = browser.new_page()
        page.set_content(page_with_three())
        found = page.evaluate(READ, base64.b64encode((tmp_path / "mesh.glb").read_bytes()).decode())
        assert found == {name: len(own.geometry[name].faces) for name in CLASSES}
        for number, name in enumerate(CLASSES[1:], start=1):
            drawn = np.array(page.evaluate(DRAW, name)).reshape(-1, 4)
            drawn = np.median(drawn[drawn[:, 3] > 0][:, :3], axis=0)
            of_class = whole.metadata["_ply_raw"]["vertex"]["data"]["label"].ravel() == number
            expected = np.median(whole.visual.vertex_colors[of_class, :3], axis=0)
            assert drawn.argmax() == expected.argmax() and np.abs(drawn - expected).max() < 60
