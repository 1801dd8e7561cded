"""A model behind HTTP: FastAPI and uvicorn, from `pip install "hwnas[serve]"`, imported when `serving` is."""
