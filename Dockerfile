# The page as a service, with PyTorch for the CPU: docker build -t shapleycam . && docker run --rm -p 7860:7860 shapleycam
FROM python:3.11-slim

# Models fetch weights into the home folder of this user, the one that Hugging Face Spaces have; photographs are never written.
RUN useradd --create-home --uid 1000 page

WORKDIR /source
COPY tested-versions.txt ./
# PyTorch's own index has the build without CUDA, 5 GB smaller; both packages have to come from it. It lacks some tested
# versions of what they need, which comes from PyPI below.
RUN pip install --no-cache-dir --no-deps --constraint tested-versions.txt \
    torch torchvision --index-url https://download.pytorch.org/whl/cpu

COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir --constraint tested-versions.txt ".[web]"

USER 1000
ENV HOME=/home/page
WORKDIR /home/page

EXPOSE 7860
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]

# exec form: the server itself gets SIGTERM, and ends within seconds
ENTRYPOINT ["shapleycam", "web", "--host", "0.0.0.0", "--port", "7860", "--no-browser"]
